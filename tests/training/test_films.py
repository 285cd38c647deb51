"""Films during training: when, of what, and what happens if one fails."""

from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch

from savanna.evaluation.team import team_of
from savanna.runs.directory import RunDirectory
from savanna.session.films import Filmer, keep_film


def test_a_failing_renderer_never_stops_training(monkeypatch, capsys):
    def fail(*arguments):
        raise OSError("no space left\non the device")

    monkeypatch.setattr("savanna.session.films._make", fail)

    class Algorithm:
        class config:
            num_envs_per_env_runner, num_env_runners = 4, 1

    filmer = Filmer(every=10)
    result = {"tally": {"episodes": 4}, "training_iteration": 1}
    assert filmer.film(Algorithm, result) == {}
    assert capsys.readouterr().err == "no film of episode 1: no space left on the device\n"
    assert filmer.film(Algorithm, result) == {} and capsys.readouterr().err == ""  # not due again


def test_films_are_due_every_so_many_episodes_of_a_world(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(
        "savanna.session.films._make",
        lambda algorithm, episodes, iteration: made.append((episodes, iteration)) or {},
    )

    class Algorithm:
        class config:
            num_envs_per_env_runner, num_env_runners = 4, 2

    filmer = Filmer(every=10)
    for iteration, total in enumerate((8, 40, 72, 80, 100, 240, 250), 1):
        result = {"tally": {"episodes": total}, "training_iteration": iteration}
        filmer.film(Algorithm, result)
    assert made == [(1, 1), (10, 4), (30, 6)]
    run = RunDirectory(tmp_path)
    result = {"film": {"a.mp4": b"film"}}
    assert keep_film(run, result) and not keep_film(run, {})
    assert result == {}, "Tune would keep and write it"
    assert (run.videos / "a.mp4").read_bytes() == b"film"


@pytest.mark.parametrize("broken", ["videos", "a.mp4"])
def test_a_film_that_cannot_be_stored_is_a_line_in_the_log(broken, tmp_path, capsys):
    run = RunDirectory(tmp_path)
    if broken == "videos":
        run.videos.write_text("a file where the folder should be")
    else:
        (run.videos / broken).mkdir(parents=True)
    result = {"film": {"0.jpg": b"poster", "a.mp4": b"film"}}
    assert not keep_film(run, result) and result == {}
    error = capsys.readouterr().err
    assert error.startswith("could not save a film: ") and error.count("\n") == 1
    assert not (run.videos / "0.jpg").exists(), "half a film"


class OnADevice(torch.nn.Module):
    """Acts only on the CPU, where its inputs are; it is kept elsewhere."""

    device, action_space = "cuda", gym.spaces.Discrete(5)

    def unwrapped(self):
        return self

    def to(self, device):
        self.device = device
        return self

    def forward_inference(self, batch):
        assert self.device == "cpu", "inputs and networks on two devices"
        return {"action_dist_inputs": batch["obs"][:, :5]}


def test_agents_are_filmed_on_the_cpu_and_stay_where_they_learn():
    network = OnADevice()
    learner = SimpleNamespace(module={"agent_0": network})
    algorithm = SimpleNamespace(
        config=SimpleNamespace(env="simple_spread", env_config={}, share_parameters=True),
        learner_group=SimpleNamespace(_learner=learner),
    )
    team = team_of(algorithm)
    actions = team.act([np.zeros((2, 18), np.float32)] * 3)
    assert [a.shape for a in actions] == [(2,)] * 3
    assert network.device == "cuda"
    assert len({id(policy.module) for policy in team.policies}) == 1, "one copy of a shared one"
