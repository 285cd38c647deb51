"""What is skipped at the start of a run, and that nothing else is."""

import sys

import pytest
from command import ours, run

PREPARED = """
import sys, torch
from savanna.algorithms.quick_setup import quick_setup
quick_setup()
loaded = lambda: "torch._dynamo.eval_frame" in sys.modules
"""


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(
            """
weight = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.Adam([weight], lr=0.5)
weight.sum().backward()
optimizer.step()
assert torch.allclose(weight, torch.tensor(0.5)), weight
assert not loaded()
""",
            id="an optimizer steps without torch's compiler",
        ),
        pytest.param(
            """
from ray.rllib.utils.torch_utils import set_torch_seed
set_torch_seed(7)
assert torch.are_deterministic_algorithms_enabled()
assert not torch.is_deterministic_algorithms_warn_only_enabled()
first = torch.rand(3).tolist()
set_torch_seed(7)
assert torch.rand(3).tolist() == first
assert not loaded()
torch.use_deterministic_algorithms(True, warn_only=True)
assert torch.is_deterministic_algorithms_warn_only_enabled()
torch.use_deterministic_algorithms(False)
assert not torch.are_deterministic_algorithms_enabled()
""",
            id="seeding is as strict as RLlib asks, without torch's compiler",
        ),
        pytest.param(
            """
import torch._dynamo.config
from torch._dynamo import explain
assert loaded() and torch._dynamo.config.cache_size_limit > 0
assert torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item() == 2
""",
            id="whoever wants torch's compiler gets it",
        ),
        pytest.param(
            """
import inspect
inspect.getmodule(sys._getframe())
assert not loaded()
""",
            id="looking at modules does not import torch's compiler",
        ),
        pytest.param(
            """
from ray.rllib.connectors.env_to_module import FlattenObservations
made = FlattenObservations(multi_agent=True, agent_ids=["one"])
_, keywords = made.get_ctor_args_and_kwargs()
assert keywords["multi_agent"] is True and keywords["agent_ids"] == ["one"], keywords
""",
            id="connectors know what they were made with",
        ),
    ],
)
def test_quick_setup(program):
    done = run([sys.executable, "-c", PREPARED + program], env=ours(), timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


RUNNERS = """
import sys
from savanna.experiments import Machine, get_experiment
experiment = get_experiment(sys.argv[1])
config = experiment.build_config(experiment.env, Machine(cpus=2, gpus=0))
config.debugging(seed=3)
config.env_runner_cls(config=config, worker_index=1)
assert "torch._dynamo.eval_frame" not in sys.modules
"""


@pytest.mark.parametrize("experiment", ["pong", "cartpole", "particle"])
def test_env_runners_set_up_quickly_wherever_they_start(experiment):
    """Those on other machines are no forks of a process that has been prepared."""
    done = run([sys.executable, "-c", RUNNERS, experiment], env=ours(), timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
