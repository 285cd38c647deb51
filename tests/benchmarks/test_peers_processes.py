"""Peers' processes and worlds, without the peers."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from mpe2 import simple_spread_v3
from waiting import gone, wait_until

from benchmarks.peers import environments, process, theirs
from benchmarks.peers.reference import record
from benchmarks.peers.world import difference, play
from savanna.errors import SavannaError, UsageError

ORDERS = {
    "seed": 0,
    "seconds": 1e-9,
    "every": 1.0,
    "episodes": 3,
    "curve_episodes": 2,
    "evaluation_seed": 5,
    "train": True,
}


def make_world():
    return simple_spread_v3.parallel_env(max_cycles=25, continuous_actions=True)


def rest(observations):
    return {name: np.zeros((len(seen), 5), np.float32) for name, seen in observations.items()}


class MirrorWorld:
    """A world with left and right, and up and down, swapped."""

    def __init__(self):
        self._env = make_world()

    def __getattr__(self, name):
        return getattr(self._env, name)

    def step(self, actions):
        return self._env.step({name: force[[0, 2, 1, 4, 3]] for name, force in actions.items()})


def test_an_equal_world_gives_our_rewards():
    reference = record()
    assert difference(make_world(), reference) is None
    rewards = np.array(reference["rewards"])
    assert rewards.shape == (25, 3)
    assert (rewards.min(axis=1) < rewards.max(axis=1)).any()  # some agents touch, others do not


def test_a_world_with_swapped_directions_is_found_out():
    found = difference(MirrorWorld(), record())
    assert found is not None
    assert found.startswith("agent_0 gets ")


def test_a_longer_episode_is_found_out():
    longer = simple_spread_v3.parallel_env(max_cycles=26, continuous_actions=True)
    assert difference(longer, record()) == "an episode does not have as many steps as ours"


def test_play_returns_the_sum_of_all_rewards_of_each_episode(monkeypatch):
    monkeypatch.setattr("benchmarks.peers.world.WORLDS", 2)
    found = play(make_world, rest, 3, seed=11)
    expected = []
    for seed in (11, 12, 13):
        env, total = make_world(), 0.0
        env.reset(seed=seed)
        while env.agents:
            still = {name: np.zeros(5, np.float32) for name in env.agents}
            total += sum(env.step(still)[1].values())
        expected.append(total)
    assert found == pytest.approx(expected)


@pytest.fixture
def fake(monkeypatch):
    """A library `fake` whose agents stay still; its `train` may be replaced."""

    class Peer:
        worlds = "fake_worlds"
        settings = "none"
        make_world = staticmethod(make_world)
        act = staticmethod(rest)

        def __init__(self, seed):
            pass

        def train(self, clock):
            clock.start()
            while True:
                clock.tick(16)

    monkeypatch.setitem(sys.modules, "fake_adapter", SimpleNamespace(Peer=Peer))
    monkeypatch.setitem(process.ADAPTERS, "fake", "fake_adapter")
    monkeypatch.setattr(process, "version", lambda package: f"{package}-1")
    return Peer


def serve(**changed):
    answers = []
    orders = ORDERS | {"reference": record()} | changed
    process.serve("fake", orders, lambda **answer: answers.append(answer))
    return answers


def test_a_peer_trains_until_its_time_is_up(fake):
    about, last = serve()
    assert list(about["versions"].values()) == ["fake-1", "fake_worlds-1", "torch-1"]
    assert last["steps"] == 16
    assert len(last["returns"]) == 3


def test_a_check_trains_nothing(fake):
    fake.train = None
    assert len(serve(train=False)) == 1


def test_a_peer_with_another_world_does_not_train(fake):
    fake.train = None
    fake.make_world = staticmethod(MirrorWorld)
    assert serve()[-1]["error"].startswith("its world differs from ours: agent_0 gets ")


def test_a_peer_that_stops_early_has_no_result(fake):
    fake.train = lambda self, clock: None
    assert serve()[-1] == {"error": "its training ended on its own after 0 s"}


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Makes a stand-in for a peer's Python: a script whose $4 is the file of answers."""
    monkeypatch.setattr(theirs, "BUILD", tmp_path)

    def make(script):
        file = tmp_path / "python"
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
        return file

    return make


def said(*answers):
    return "\n".join(f"echo '{json.dumps(answer)}' >> $4" for answer in answers)


ABOUT = {"versions": {"xuance": "1.4", "torch": "2"}, "settings": "shipped"}
LOOK = {"seconds": 2.0, "steps": 32, "returns": [-1.0, -2.0]}


def test_what_a_peer_answers_is_its_outcome(stand_in):
    found = theirs.run("xuance", stand_in(said(ABOUT, LOOK, LOOK | {"seconds": 4.0})), {})
    assert found.title == "XuanCe 1.4"
    assert found.versions == {"torch": "2"}
    assert [look.seconds for look in found.looks] == [2.0, 4.0]


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (said({"error": "no such world"}), "xuance: no such world (log: "),
        (said(ABOUT) + "\nexit 3", "xuance died, exit code 3: "),
        (said(ABOUT), "xuance ended without a result: see "),
    ],
)
def test_a_peer_that_fails_is_one_line(stand_in, script, line):
    with pytest.raises(SavannaError) as caught:
        theirs.run("xuance", stand_in(script), {})
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_helpers_of_a_peer_do_not_outlive_it(stand_in, tmp_path):
    helper = f"sleep 60 & echo $! > {tmp_path}/helper"
    theirs.run("xuance", stand_in(f"{helper}\n{said(ABOUT, LOOK)}"), {})
    pid = int((tmp_path / "helper").read_text())
    wait_until(lambda: gone(pid), "the helper ends")


def test_without_uv_nothing_is_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(environments, "BUILD", tmp_path)
    monkeypatch.setattr(environments.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UsageError, match="uv is missing: `make setup` installs it"):
        environments.python_of("xuance")


def test_an_environment_that_cannot_be_made_is_one_line_and_is_made_again(tmp_path, monkeypatch):
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\necho no space >&2\necho left >&2\nexit 1\n")
    uv.chmod(0o755)
    monkeypatch.setattr(environments, "BUILD", tmp_path / "build")
    monkeypatch.setattr(environments.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(SavannaError, match="^cannot install xuance: no space left$"):
        environments.python_of("xuance")
    uv.write_text('#!/bin/sh\ncase $1 in venv) for d; do :; done; mkdir -p "$d";; esac\n')
    python = environments.python_of("xuance")
    assert python == tmp_path / "build" / "xuance" / "bin" / "python"
    uv.unlink()
    assert environments.python_of("xuance") == python  # reused
