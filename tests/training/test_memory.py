"""Networks with memory: step by step they see what the learner unrolls, and they remember."""

import gymnasium as gym
import numpy as np
import onnxruntime
import pytest
import torch
from learning import learned
from ray.rllib.core import DEFAULT_MODULE_ID
from test_impala_gym import CPU, config_of

from savanna.algorithms.impala.batch import GymBatch
from savanna.algorithms.impala.gym_env_runner import GymEnvRunner
from savanna.algorithms.impala.recurrent_learner import RecurrentLearner
from savanna.envs.gymnasium_env import Gymnasium
from savanna.evaluation.onnx_export import check, write_graph
from savanna.evaluation.policy import Policy
from savanna.modules.network import Network

LSTM = {"use_lstm": True, "lstm_cell_size": 8, "fcnet_hiddens": [16]}


class Recall(gym.Env):
    """Which of two signs was shown at the start, asked after a few blank steps.

    Only memory beats a return of 0.
    """

    observation_space = gym.spaces.Box(0, 1, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.sign, self.steps = int(self.np_random.integers(2)), 0
        return np.float32([self.sign, 1 - self.sign, 0]), {}

    def step(self, action):
        self.steps += 1
        over = self.steps == 5
        reward = (1.0 if action == self.sign else -1.0) if over else 0.0
        return np.float32([0, 0, self.steps == 4]), reward, over, False, {}


def network_of(env, **model):
    torch.manual_seed(1)
    return Network(
        observation_space=env.observation_space,
        action_space=env.action_space,
        inference_only=False,
        model_config=LSTM | model,
    )


def plain(network, observations, starts):
    """One sequence, step by step, with the LSTM's equations written out."""
    cell = network.memory.cell
    hidden = memory = torch.zeros(network.memory.cells)
    outputs = []
    for seen, start in zip(observations, starts, strict=True):
        if start:
            hidden = memory = torch.zeros(network.memory.cells)
        gates = cell.weight_ih @ network.encoder(seen[None])[0] + cell.bias_ih
        gates = gates + cell.weight_hh @ hidden + cell.bias_hh
        enter, forget, new, leave = gates.chunk(4)
        memory = forget.sigmoid() * memory + enter.sigmoid() * new.tanh()
        hidden = leave.sigmoid() * memory.tanh()
        outputs.append(network.policy_head(hidden))
    return torch.stack(outputs)


def test_unrolling_is_stepping_and_forgets_where_episodes_start():
    env = Recall()
    network = network_of(env)
    observations = torch.rand(12, 3, 3)
    starts = torch.rand(12, 3) < 0.3
    with torch.no_grad():
        outputs, values = network.unroll(observations, network.no_state(3), starts)
        assert values.shape == (12, 3)
        for index in range(3):
            expected = plain(network, observations[:, index], starts[:, index])
            torch.testing.assert_close(outputs[:, index], expected)
        state = network.no_state(3)
        for step in range(12):
            state = state * (~starts[step]).float()[:, None]
            found, state = network.step(observations[step], state)
            torch.testing.assert_close(found, outputs[step])


@pytest.fixture
def runner(monkeypatch):
    monkeypatch.setattr(Gymnasium, "make", lambda self, render_mode=None: Recall())
    config = config_of().rl_module(model_config=LSTM)
    return GymEnvRunner(config=config, worker_index=1)


def test_env_runners_carry_the_state_through_fragments_and_resets(runner):
    """What they recorded is what the whole history gives, from the first reset on."""
    fragments = [runner.sample_fragment() for _ in range(3)]
    assert sum(len(f.episodes) for f in fragments) > 3
    network = runner.module
    seen = torch.from_numpy(np.concatenate([f.observations[""][:-1] for f in fragments]))
    valid = torch.from_numpy(np.concatenate([f.valid for f in fragments]))
    actions = torch.from_numpy(np.concatenate([f.actions for f in fragments]))
    recorded = torch.from_numpy(np.concatenate([f.log_probs for f in fragments]))
    starts = torch.cat([torch.zeros_like(valid[:1]), ~valid[:-1]])
    with torch.no_grad():
        for index in range(seen.shape[1]):
            outputs = plain(network, seen[:, index], starts[:, index])
            expected = network.actions.log_prob(outputs, actions[:, index])
            torch.testing.assert_close(recorded[:, index], expected)


def test_the_learner_sees_the_same(runner):
    """From a later fragment alone: the state it carries, its resets, and any choice of columns."""
    fragments = [runner.sample_fragment() for _ in range(3)][1:]
    config = config_of().rl_module(model_config=LSTM)
    spaces = {DEFAULT_MODULE_ID: (Recall.observation_space, Recall.action_space)}
    learner = config.get_default_learner_class()(
        config=config, module_spec=config.get_rl_module_spec(spaces=spaces)
    )
    assert isinstance(learner, RecurrentLearner)
    learner.build()
    learner.module[DEFAULT_MODULE_ID].unwrapped().load_state_dict(runner.module.state_dict())
    batch = GymBatch.from_fragments(fragments, CPU)
    observations = learner._observations(batch)
    samples, _ = learner._samples(batch, observations)
    torch.testing.assert_close(samples.log_probs, batch.log_probs[batch.valid])
    taken = learner._minibatches(len(samples))
    assert sorted(torch.cat(list(taken)).tolist()) == list(range(len(samples)))
    for minibatch in taken:
        chosen = samples.select(minibatch)
        outputs, _ = learner._these(observations, chosen.rows)
        found = learner._actions.log_prob(outputs, chosen.actions)
        torch.testing.assert_close(found, chosen.log_probs)


PREPARE = """
from savanna.envs.gymnasium_env import Gymnasium
from test_memory import Recall
Gymnasium.make = lambda self, render_mode=None: Recall()
"""


@pytest.mark.parametrize("build", ["impala", "ppo"])
def test_it_learns_to_remember(build, tmp_path):
    model = {"use_lstm": True, "lstm_cell_size": 32, "fcnet_hiddens": [32]}
    arguments = (build, "CartPole-v1", 60_000, 0.7, model)
    assert learned(tmp_path, *arguments, prepare=PREPARE) > 0.7


def test_a_policy_remembers_until_new_episodes_begin():
    env = Recall()
    policy = Policy(network_of(env).eval())
    first, second = np.eye(3, dtype=np.float32)[:, None][:2]
    fresh = policy.logits(second)
    policy.begin()
    policy.logits(first)
    assert np.abs(policy.logits(second) - fresh).max() > 1e-5
    policy.begin()
    np.testing.assert_array_equal(policy.logits(second), fresh)


def test_exported_it_remembers(tmp_path):
    policy = Policy(network_of(Recall()).eval())
    seen = np.random.default_rng(0).random((64, 3)).astype(np.float32)
    write_graph(policy, seen, tmp_path / "model.onnx")
    assert check(tmp_path / "model.onnx", policy, seen) < 1e-3
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    state = np.zeros((1, 16), np.float32)
    for step in range(5):
        now = seen[step : step + 1]
        logits, action, state = session.run(None, {"observations": now, "state": state})
        np.testing.assert_allclose(logits, policy.logits(now), atol=1e-4)
        assert action.shape == (1,)
