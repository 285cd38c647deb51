"""What is noticed, said and kept when something goes wrong in training; without a command."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from stuck_envs import Lies, Plant

from savanna.algorithms.paced import _broken_weights
from savanna.algorithms.particle_ppo import ParticlePPOConfig
from savanna.algorithms.ppo import PPO, PPOConfig
from savanna.algorithms.ppo_env_runner import ManyAgentsEnvRunner, OneAgentEnvRunner, sample_piece
from savanna.algorithms.sampling import Failure, sample_fragment
from savanna.algorithms.supply import Supply, saying_while
from savanna.errors import GaveUp
from savanna.metrics import TROUBLE
from savanna.runs.checkpoints import CheckpointInfo, describe
from savanna.runs.directory import RunDirectory
from savanna.runs.notes import Inbox, Message, tell
from savanna.session.failure import cause_of
from savanna.session.trial_record import TrialRecord
from savanna.session.trials import RunRecording
from savanna.session.tune import make_trainable


def one_agent(env=Plant, **settings):
    config = PPOConfig().environment(env, env_config={})
    config.env_runners(num_envs_per_env_runner=3, rollout_fragment_length=20)
    config.debugging(seed=4)
    for name, value in settings.items():
        setattr(config, name, value)
    return OneAgentEnvRunner(config=config, worker_index=1)


def many_agents():
    config = ParticlePPOConfig().environment("simple_spread", env_config={"max_cycles": 7})
    config.env_runners(num_envs_per_env_runner=3, rollout_fragment_length=20)
    config.debugging(seed=4)
    config.validate()
    return ManyAgentsEnvRunner(config=config, worker_index=1)


def quick_plant(config):
    return Plant(0.0)


def everything(episodes) -> list:
    """All that a learner sees."""
    found = []
    for episode in episodes:
        of_agents = getattr(episode, "agent_episodes", {"": episode})
        for agent in of_agents.values():
            parts = [agent.get_observations(), agent.get_actions(), agent.get_rewards()]
            outputs = [agent.get_extra_model_outputs(key) for key in agent.extra_model_outputs]
            found.append([np.asarray(part).tolist() for part in parts + outputs])
            found.append([agent.is_terminated, agent.is_truncated, agent.t_started, agent.t])
    return found


@pytest.mark.parametrize("make", [lambda: one_agent(quick_plant), many_agents])
def test_a_fragment_made_in_pieces_is_the_one_made_in_one_go(make):
    at_once, in_pieces = make(), make()
    in_pieces.module.set_state(at_once.module.get_state())
    for _ in range(2):
        torch.manual_seed(0)
        whole = sample_piece(at_once, 1000.0)
        torch.manual_seed(0)
        pieces = [sample_piece(in_pieces, 0.0)]
        while pieces[-1].episodes is None:
            pieces.append(sample_piece(in_pieces, 0.0))
        assert len(pieces) > 15
        assert everything(pieces[-1].episodes) == everything(whole.episodes)
        counted = [p.metrics["num_env_steps_sampled"].peek() for p in (whole, *pieces)]
        assert counted[0] == sum(counted[1:]) >= 60


def test_errors_of_an_environment_reach_the_driver_as_words():
    failure = sample_piece(one_agent(lambda config: Lies(after=4)), 1000.0)
    assert isinstance(failure, Failure)
    assert "gave a reward of nan in step 4 of an episode (environment 0 of" in failure.text

    def leave():
        raise SystemExit("no licence")

    assert not failure.may_pass, "it would come again"
    player = SimpleNamespace(sample_fragment=leave, config=SimpleNamespace(env="Walk"))
    failure = sample_fragment(player)
    assert "An env runner (process" in failure.text and failure.may_pass
    assert failure.text.endswith("failed while it played Walk: SystemExit: no licence")


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_what_is_said_of_env_runners():
    said, clock = [], Clock()
    supply = Supply(
        2,
        patience=30,
        limit=600,
        say=lambda text, problem=False: said.append((text, problem)),
        clock=clock,
    )
    supply.arrived(1, "10.0.0.1")
    supply.arrived(2, "10.0.0.2")
    clock.now = 29
    supply.look([1, 2], "are busy")
    assert said == []
    clock.now = 31
    supply.look([1, 2], "are busy")
    assert said == [("No samples for 31 s: 2 of 2 env runners are busy.", True)]
    clock.now = 80
    supply.look([1, 2], "are busy")
    assert len(said) == 1, "once a minute"
    supply.lost(2, "The actor died: its node was terminated")
    clock.now = 95
    supply.look([1], "are busy")
    assert "1 of 2 env runners are busy; 1 of 2 env runners are lost" in said[-1][0]
    assert "its machine went away on node 10.0.0.2" in said[-1][0]
    supply.arrived(1, "10.0.0.1")
    assert said[-1] == ("Samples are coming again, after 95 s without.", False)
    supply.arrived(2, "10.0.0.3")
    assert said[-1][0].startswith("An env runner was lost (its machine went away) and restarted: 1")
    assert "now on node 10.0.0.3 (before: 10.0.0.2)" in said[-1][0]


def test_all_lost_is_the_end_only_after_the_limit_and_only_if_all_are():
    clock = Clock()
    supply = Supply(2, patience=30, limit=600, say=lambda *_, **__: None, clock=clock)
    supply.lost(1, "killed")
    clock.now = 700
    assert supply.gone() is None, "the other one may be slow"
    supply.lost(2, "killed")
    assert "All 2 env runners were lost" in supply.gone()
    supply.arrived(1, "10.0.0.1")
    assert supply.gone() is None


def test_a_long_start_is_told():
    said = []
    with saying_while("Env runners have been starting", lambda t, **_: said.append(t), 0.01):
        while len(said) < 2:
            pass
    assert all(text.startswith("Env runners have been starting for") for text in said)


def test_messages_reach_whoever_watches_the_run_once(tmp_path):
    tell(tmp_path, Message("of a session before"))
    inbox = Inbox(tmp_path)
    assert inbox.take() == []
    tell(tmp_path, Message("none come", problem=True))
    tell(tmp_path, Message("they come"))
    assert inbox.take() == [("none come", True), ("they come", False)]
    assert inbox.take() == []
    tell(tmp_path / "gone", Message("lost"))


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    network = torch.nn.Linear(2, 2)
    network.unwrapped = lambda: network
    learner = SimpleNamespace(module={"default_policy": network})
    assert _broken_weights(learner) is None
    with torch.no_grad():
        network.bias[1] = math.nan
    assert _broken_weights(learner) == "default_policy, bias"
    trainable = object.__new__(make_trainable(PPO, tmp_path, keep=3))
    trainable.__dict__ |= {"_run": tmp_path, "broken_weights": lambda: "default_policy, bias"}
    with pytest.raises(GaveUp, match="NaN or infinite weights .default_policy, bias. .*not saved"):
        trainable.save()
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_ends_training():
    algorithm = object.__new__(PPO)
    numbers = {"vf_loss": 1.0, "policy_loss": 0.5, "vf_explained_var": math.nan}
    algorithm.check_learned("default_policy", numbers)
    assert algorithm.trouble is None
    algorithm.check_learned("default_policy", numbers | {"policy_loss": math.inf})
    assert "policy_loss of default_policy is inf" in str(algorithm.trouble)
    with pytest.raises(GaveUp, match="policy_loss"):
        algorithm.train()


def test_the_cause_is_the_trials_own_words():
    text = "ray.exceptions.RayTaskError(GaveUp): ray::PPO.train() (pid=7, ip=10.0.0.1)\n" + (
        '  File "x.py", line 1, in train\nsavanna.errors.GaveUp: All 3 env runners were lost.\n'
    )
    assert cause_of(text, "the.log") == "All 3 env runners were lost."


def test_the_best_checkpoint_is_never_one_without_a_number(tmp_path):
    run = RunDirectory(tmp_path)
    for number, mean in enumerate((5.0, math.nan, math.inf, 3.0)):
        folder = run.checkpoint_path(number)
        folder.mkdir()
        describe(folder, CheckpointInfo(number, number + 1, 10, 1.0, mean))
    assert run.checkpoint("best").number == 0
    scores = [{"checkpoint": n, "mean": m, "explore": False} for n, m in ((0, math.nan), (3, 1.0))]
    run.write_json("evaluations.json", scores)
    assert run.checkpoint("best").number == 3


def result_of(**more):
    return {
        "training_iteration": 1,
        "time_total_s": 1.0,
        "time_this_iter_s": 1.0,
        "tally": {"episodes": 0},
    } | more


def test_an_error_in_our_callbacks_ends_the_run_after_a_checkpoint(tmp_path):
    class Full:
        def record(self, result):
            raise OSError("No space left on device")

    run = RunDirectory(tmp_path)
    record = TrialRecord(run, [Full()], {})
    record.each = lambda action: action(record.recorders[0])
    request = SimpleNamespace(reason=None)
    recording = RunRecording(lambda t: record, request, lambda *_: None)
    trial = SimpleNamespace(trial_id="a", status="RUNNING")
    recording.on_trial_start(0, [trial], trial)
    assert not recording.should_stop("a", result_of())
    recording.on_trial_result(0, [trial], trial, result_of())
    assert recording.should_stop("a", result_of()), "Tune saves a checkpoint then"
    recording.on_trial_complete(0, [trial], trial)
    assert run.status["state"] == "failed"
    assert "No space left on device" in run.status["cause"]


def test_a_trial_in_trouble_is_not_a_success(tmp_path):
    record = TrialRecord(RunDirectory(tmp_path), [], {"iterations": 1})
    request = SimpleNamespace(reason=None)
    recording = RunRecording(lambda t: record, request, lambda *_: None)
    recording.records["a"] = record
    assert not recording.should_stop("a", result_of(**{TROUBLE: "a NaN"}))
    assert recording.should_stop("a", result_of())
