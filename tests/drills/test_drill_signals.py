"""Signals to a command at a random moment of every phase."""

import signal
import time

import pytest
from drill_scene import QUICK, Command, Scene

SIGNALS = [
    (signal.SIGINT, "the command"),
    (signal.SIGTERM, "its group"),
    (signal.SIGHUP, "the command"),
    (signal.SIGTERM, "all its processes"),
]
KINDS = pytest.mark.parametrize(
    ("number", "whom"), SIGNALS, ids=[f"{number.name} to {whom}" for number, whom in SIGNALS]
)


def stopped(scene: Scene, command: Command, number: int, *, exact: bool = False) -> None:
    """It ended with that signal, left nothing, and lost nothing that was saved."""
    assert command.ended() == 128 + number, command.said()
    scene.done(f"exit {128 + number}", exact=exact)
    scene.nothing_left()


@KINDS
def test_while_it_imports(scene, number, whom):
    with scene.train() as command:
        scene.pause(2.0)
        command.send(number, whom)
        stopped(scene, command, number)
    assert not list(scene.home.glob("runs/*"))


@KINDS
def test_while_ray_starts(scene, number, whom):
    with scene.train() as command:
        command.child("gcs_server")
        scene.pause(1.0)
        command.send(number, whom)
        stopped(scene, command, number)


@KINDS
def test_while_env_runners_are_made(scene, number, whom):
    with scene.train() as command:
        command.until_said("Building env runners")
        scene.pause(2.0)
        command.send(number, whom)
        stopped(scene, command, number)


@KINDS
def test_while_it_trains(scene, number, whom):
    with scene.train() as command:
        command.until_rows(2)
        scene.pause(2.0)
        command.send(number, whom)
        stopped(scene, command, number, exact=True)
    assert scene.run_directory().status["state"] == "stopped"


@KINDS
def test_while_a_checkpoint_is_written(scene, number, whom):
    with scene.train() as command:
        command.until_rows(scene.chance.randint(1, 4))
        command.until(lambda: list(scene.home.glob("runs/cartpole/*/.checkpoint_*")))
        command.send(number, whom)
        stopped(scene, command, number, exact=True)
    assert scene.run_directory().status["state"] == "stopped"


LATER = ("train", "cartpole", "--num-env-runners", "0", "--stop", "iterations=2")


def after_training(scene: Scene, command: Command, number: int) -> None:
    stopped(scene, command, number, exact=True)
    assert scene.run_directory().status["state"] == "succeeded"


@KINDS
def test_while_checkpoints_are_evaluated(scene, number, whom):
    more = ("--checkpoint-freq", "1", "--evaluate-episodes", "3000", "--no-video")
    with scene.command(*LATER, *more) as command:
        command.until_said("Evaluating")
        scene.pause(3.0)
        command.send(number, whom)
        after_training(scene, command, number)


@KINDS
def test_while_films_and_the_report_are_made(scene, number, whom):
    with scene.command(*LATER, "--evaluate-episodes", "1") as command:
        command.until_said("Filming")
        scene.pause(1.0)
        command.send(number, whom)
        after_training(scene, command, number)


@KINDS
def test_in_a_search(scene, number, whom):
    """The first sample trains, others may wait for CPUs; none is started after the signal."""
    words = ("--set", "lr=loguniform(1e-4,1e-3)", "--num-samples", "6", "--stop", "none")
    with scene.command(
        "train", "cartpole", "--num-env-runners", "0", *words, "--checkpoint-freq", "1", *QUICK
    ) as command:
        command.until_rows(2)
        scene.pause(2.0)
        command.send(number, whom)
        stopped(scene, command, number, exact=True)
    states = [s.read_text() for s in scene.home.glob("runs/cartpole/*/status.json")]
    assert 0 < len(states) < 6 and all('"stopped"' in state for state in states)


@pytest.mark.parametrize("pause", [0.3, 1.2, 3.0])
def test_two_signals(scene, pause):
    """The second one, if it is not the first one passed on, ends it immediately."""
    with scene.train() as command:
        command.until_rows(2)
        command.send(signal.SIGTERM, "its group")
        scene.pause(0.2)
        time.sleep(pause)
        if command.process.poll() is None:
            command.process.terminate()
        scene.cut_off = True
        scene.found.fault = f"SIGTERM to the group, again to the command after {pause:g} s"
        stopped(scene, command, signal.SIGTERM)
    scene.resume()


@pytest.mark.parametrize("limit", [4, 9, 14, 20])
def test_the_time_limit(scene, limit):
    with scene.train("--max-duration", f"{limit}s") as command:
        scene.fault(f"--max-duration {limit}s")
        code = command.ended()
        scene.done(f"exit {code}")
        scene.nothing_left()
    assert code in (0, 1) and scene.found.seconds < limit + 20
