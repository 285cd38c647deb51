"""Doom scenarios as environments: as ViZDoom has them, and without leaving anything behind."""

import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import numpy as np
import psutil
import pytest
from command import ours, started
from waiting import gone, wait_until

from savanna.envs.doom import SCENARIOS, Doom
from savanna.envs.doom_game import DoomEnv, combinations
from savanna.envs.families import family_of
from savanna.envs.gymnasium_env import time_limited
from savanna.errors import UsageError

RIGHT = 2  # of basic's actions


def played(env, seed, actions):
    """What is seen, and what is rewarded, of the first steps of the episode `seed`."""
    seen, rewards = [env.reset(seed=seed)[0]["screen"]], []
    for action in actions:
        observation, reward, *_ = env.step(action)
        seen.append(observation["screen"])
        rewards.append(reward)
    return np.array(seen), rewards


@pytest.fixture(scope="module")
def basic():
    env = DoomEnv("basic")
    yield env
    env.close()


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_has_actions(scenario):
    env = Doom(scenario, {}).make()
    assert env.action_space.n > 2
    assert family_of(scenario) is Doom
    env.close()


def test_an_episode_is_repeated_by_its_seed_and_its_actions(basic):
    actions = [RIGHT, RIGHT, 0, 0, RIGHT]
    seen, rewards = played(basic, 1, actions)
    again, same = played(basic, 1, actions)
    other, _ = played(basic, 2, actions)
    np.testing.assert_array_equal(seen, again)
    assert rewards == same == [-4.0] * 5, "one for each tic"
    assert (seen != other).any()


def test_what_is_seen_stays_when_the_game_goes_on(basic):
    first, _ = basic.reset(seed=1)
    kept = first["screen"].copy()
    for _ in range(3):
        basic.step(RIGHT)
    np.testing.assert_array_equal(first["screen"], kept)


def test_time_that_is_up_truncates_and_the_last_screen_stays(basic):
    basic.reset(seed=1)
    steps, over = 0, False
    while not over:
        before = basic.render()
        observation, _, terminated, truncated, _ = basic.step(0)
        steps, over = steps + 1, terminated or truncated
    assert truncated and not terminated
    assert steps == 75, "300 tics, four a step"
    np.testing.assert_array_equal(observation["screen"], before)
    assert before.any()


def test_variables_are_scaled(basic):
    observation, _ = basic.reset(seed=1)
    assert observation["variables"].tolist() == pytest.approx([0.5]), "50 bullets"
    assert basic.observation_space.contains(observation)


def test_actions_are_combinations_of_buttons():
    assert combinations(3, 1) == [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert len(combinations(5, 2)) == 1 + 5 + 10


def test_networks_see_a_small_picture_and_the_variables():
    [(observations, actions)] = Doom("basic", {"frame_size": 40}).spaces()
    assert {name: part.shape for name, part in observations.items()} == {
        "screen": (3, 40, 40),
        "vector": (1,),
    }
    assert actions.n == 4


def test_scenarios_without_a_time_limit_get_one():
    env = Doom("take_cover", {}).make_as_trained()
    assert time_limited(env)
    env.close()


def test_a_film_shows_every_tic_of_the_game_that_is_played():
    def act(observations, rng=None):
        return [np.array([1 + int(observations[0]["screen"].sum()) % 3])]

    shots = list(Doom("basic", {}).film(act, 3))
    env, total, over = Doom("basic", {}).make_as_trained(), 0.0, False
    observation, _ = env.reset(seed=3)
    while not over:
        [[action]] = act([observation])
        observation, reward, terminated, truncated, _ = env.step(action)
        total, over = total + reward, terminated or truncated
    env.close()
    assert shots[-1].score == total and shots[-1].steps > 1
    assert len(shots) == pytest.approx(4 * shots[-1].steps + 1, abs=4)
    assert shots[0].picture.shape == (480, 640, 3)


def test_nothing_is_left_behind(tmp_path, monkeypatch):
    temporary, here = tmp_path / "tmp", tmp_path / "here"
    for folder in (temporary, here):
        folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.chdir(here)
    before = psutil.Process().children(recursive=True)
    env = Doom("basic", {}).make()
    env.reset(seed=0)
    games = set(psutil.Process().children(recursive=True)) - set(before)
    assert "vizdoom" in [game.name() for game in games]
    env.close()
    assert not [*here.iterdir(), *temporary.iterdir()]
    wait_until(lambda: all(gone(game.pid) for game in games), "the end of the game")


def test_the_game_ends_with_the_process_that_plays_it():
    program = (
        "import psutil, time\n"
        "from savanna.envs.doom import Doom\n"
        "from savanna.shield import shielded\n"
        "env = Doom('basic', {}).make()\n"
        "with shielded(): env.reset(seed=0)\n"  # as in an env runner
        "print(*(p.pid for p in psutil.Process().children(recursive=True)), flush=True)\n"
        "time.sleep(600)"
    )
    with started([sys.executable, "-c", program], env=ours(), stdout=PIPE) as process:
        games = [psutil.Process(int(pid)) for pid in process.stdout.readline().split()]
        [words] = [game.cmdline() for game in games if game.name() == "vizdoom"]
        memory = f"ViZDoom*{words[words.index('+viz_instance_id') + 1]}"
        folder = Path(words[words.index("-config") + 1]).parent
        assert folder.is_dir()
        assert [*Path("/dev/shm").glob(memory)]
        process.kill()
        process.wait()
        try:
            wait_until(lambda: all(gone(game.pid) for game in games), "the end of the game")
            assert not [*Path("/dev/shm").glob(memory)], "it has left its shared memory"
            assert not folder.exists()
        finally:
            for game in games:
                with suppress(psutil.NoSuchProcess):
                    game.kill()


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("my_way_hom", {}, "Did you mean 'my_way_home'"),
        ("basic", {"frame_skip": 0}, "env_config.frame_skip must be a whole number from 1"),
        ("basic", {"max_buttons": 1.5}, "env_config.max_buttons must be"),
        ("basic", {"frame_size": 4}, "env_config.frame_size must be"),
        ("basic", {"max_buttons": 3}, "env_config.max_buttons must be"),
    ],
)
def test_wrong_names_and_settings_are_refused(name, settings, says):
    with pytest.raises(UsageError, match=says):
        Doom(name, settings).check()


def test_without_vizdoom_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="make setup; in images: make images EXTRAS=doom"):
        Doom("basic", {}).check()
