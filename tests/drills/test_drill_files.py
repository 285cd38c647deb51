"""Disks that fill up or cannot be written, checkpoints that are damaged, second owners, clocks."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from command import run, savanna_command
from disks import full, read_only, small_disk
from drill_scene import LIMIT, QUICK, SMALL, Scene

from savanna.runs.owner import DEAD_SECONDS


@pytest.fixture
def disk(scene):
    """The runs folder is a disk of 3 MB."""
    with small_disk(scene.home / "runs") as disk:
        yield disk


def one_line(said: str) -> None:
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("savanna: "), said


def test_the_disk_fills_up_while_it_trains(scene, disk):
    with scene.train() as command:
        command.until_rows(2)
        scene.pause(2)
        scene.fault("no byte left on the disk of the runs")
        with full(disk):
            assert command.ended() == 1, command.said()
            one_line(command.said())
            scene.done("exit 1")
    scene.nothing_left()
    scene.resume()


def test_the_disk_has_room_for_half_a_checkpoint(scene, disk):
    with scene.train() as command:
        command.until_rows(2)
        scene.fault("100 kB left on the disk of the runs")
        with full(disk, left=100_000):
            assert command.ended() == 1, command.said()
            one_line(command.said())
            scene.done("exit 1")
    scene.nothing_left()
    scene.resume()


def test_the_disk_fills_up_while_checkpoints_are_evaluated(scene, disk):
    words = ("--num-env-runners", "0", "--stop", "iterations=2", "--evaluate-episodes", "200")
    with scene.command("train", "cartpole", *words, "--checkpoint-freq", "1") as command:
        command.until_said("Evaluating")
        scene.fault("no byte left on the disk of the runs")
        with full(disk):
            code = command.ended()
            scene.done(f"exit {code}", exact=True)
        assert code in (0, 1) and "No space left" in command.said(), command.said()
    scene.nothing_left()
    assert scene.run_directory().status["state"] == "succeeded"


def test_the_temporary_folder_fills_up(scene):
    """Ray and Tune write there; training need not survive it, but must not hang."""
    with small_disk(scene.temporary / "s", size=200 * 2**20) as disk:
        with scene.train(TMPDIR=str(disk)) as command:
            command.until_rows(2)
            scene.fault("no byte left on the disk of TMPDIR")
            with full(disk):
                scene.pause(10)
                command.process.terminate()
                code = command.ended()
            scene.done(f"exit {code}")
        assert code in (1, 143), command.said()
    disk.rmdir()
    scene.nothing_left()
    scene.resume()


def test_the_run_becomes_read_only(scene):
    with scene.train() as command:
        command.until_rows(2)
        folder = scene.run_directory().path
        scene.fault("the run's folder is read-only")
        with read_only(folder):
            assert command.ended() == 1, command.said()
            one_line(command.said())
            scene.done("exit 1")
        scene.nothing_left(killed=True)
    scene.resume()


def test_the_run_s_folder_is_deleted(scene):
    with scene.train() as command:
        command.until_rows(2)
        scene.fault("rm -r of the run's folder")
        while (folder := scene.home / "runs" / "cartpole").exists():  # while new files are made
            shutil.rmtree(folder, ignore_errors=True)
        assert command.ended() == 1, command.said()
        one_line(command.said())
        scene.found.seconds, scene.found.outcome = scene.since(), "exit 1"
        scene.found.lost = scene._rows
    assert "folder has gone" in command.said(), command.said()
    scene.nothing_left()


@pytest.fixture
def ended(scene):
    """A run of a few iterations that was stopped."""
    with scene.train("--stop", "iterations=3", keep=3) as command:
        assert command.ended() == 0, command.said()
    scene.nothing_left()
    return scene


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


DAMAGE = {
    "its manifest is cut short": lambda folder: cut(folder / "checkpoint.json"),
    "its state is cut short": lambda folder: cut(folder / "algorithm_state.pkl"),
    "its network is missing": lambda folder: next(
        folder.glob("learner_group/learner/rl_module/*/module_state.pkl")
    ).unlink(),
    "a file is empty": lambda folder: os.truncate(folder / "learner_group/learner/state.pkl", 0),
    "all of it is gone": lambda folder: shutil.rmtree(folder),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_newest_checkpoint_is_damaged(ended, damage):
    """Resuming says so, moves it aside, and begins from the one before."""
    scene: Scene = ended
    made = scene.run_directory()
    newest = made.checkpoint_path(made.checkpoints()[-1].number)
    gone = "gone" in damage
    scene.fault(damage)
    DAMAGE[damage](newest)
    scene._kept = scene._rows = 2  # the newest of iteration 3 is what we have damaged
    command = savanna_command("train", "--resume", "latest", "--stop", "iterations=4", *QUICK)
    result = run(command, cwd=scene.home, env=scene.environment, timeout=LIMIT)
    assert result.returncode == 0, result.stderr
    assert gone or "Damaged: 2." in result.stderr, result.stderr
    assert gone or (made.path / "discarded" / newest.name).is_dir()
    assert scene.kept() == 4
    scene.done("moved aside; resumed from the one before", exact=True)
    scene.nothing_left()


def test_a_second_command_resumes_what_still_trains(scene):
    with scene.train() as command:
        command.until_rows(2)
        scene.fault("--resume of a run that still trains")
        words = savanna_command("train", "--resume", "latest", *QUICK)
        second = run(words, cwd=scene.home, env=scene.environment)
        assert second.returncode == 2 and "still being written by" in second.stderr
        command.goes_on()
        command.process.terminate()
        assert command.ended() == 143
        scene.done("exit 2; the first goes on", exact=True)
    scene.nothing_left()


def test_two_resume_a_dead_run_at_the_same_moment(scene):
    """One of them gets it."""
    with scene.train() as command:
        command.until_rows(2)
        command.process.kill()
        command.process.wait(30)
    scene.nothing_left(killed=True)
    scene.fault("two --resume of the run of a killed command")
    words = ("train", "--resume", "latest", "--stop", "none", "--stop", "iterations=400", *QUICK)
    with scene.command(*words) as first, scene.command(*words) as second:
        scene.pause(1)
        first.until(
            lambda: (
                None not in (first.process.poll(), second.process.poll())
                or 2 in (first.process.poll(), second.process.poll())
            )
        )
        loser, winner = (first, second) if first.process.poll() == 2 else (second, first)
        assert loser.ended() == 2 and "still being written by" in loser.said(), loser.said()
        winner.goes_on()
        winner.process.terminate()
        assert winner.ended() == 143, winner.said()
    scene.done("one goes on, the other: exit 2", exact=True)
    scene.nothing_left()


def test_the_owner_was_on_another_machine_that_is_gone(ended):
    scene: Scene = ended
    owner = {"id": "x", "host": "gone", "pid": 1, "born": "x", "since": "x", "seen": time.time()}
    (scene.run_directory().path / "owner.json").write_text(json.dumps(owner))
    scene.fault("the owner's machine is gone")
    scene.resume()
    assert scene.since() > DEAD_SECONDS
    scene.done("taken over after 45 s", exact=True)


CLOCK = """
import time
real = time.time
def shifted():
    with open({file!r}) as handle:
        return real() + float(handle.read() or 0)
time.time = shifted
time.time_ns = lambda: int(shifted() * 1e9)
"""


@pytest.mark.parametrize("shift", [-3600, 3600])
def test_the_clock_is_set(scene, shift):
    """For Python in every process. The machine's own clock belongs to others too."""
    file, patch = scene.home / "shift", scene.home / "clock" / "sitecustomize.py"
    file.write_text("0")
    patch.parent.mkdir()
    patch.write_text(CLOCK.format(file=str(file)))
    clock = {"PYTHONPATH": f"{patch.parent}:{scene.environment['PYTHONPATH']}"}
    with scene.train(**clock) as command:
        command.until_rows(3)
        scene.fault(f"the clock is set {abs(shift) // 3600} h {'back' if shift < 0 else 'ahead'}")
        file.write_text(f"{shift:+d}")
        command.goes_on(4)
        command.process.send_signal(signal.SIGTERM)
        assert command.ended() == 143, command.said()
        scene.done("goes on", exact=True)
    scene.nothing_left()
    seconds = [row["seconds"] for row in scene.run_directory().metrics()]
    assert seconds == sorted(seconds) and seconds[-1] < LIMIT


@pytest.mark.parametrize("whom", ["one of three", "two of three"])
def test_samples_of_a_search_are_killed(scene, whom):
    """The others train to their ends."""
    words = ("--set", "lr=loguniform(1e-4,1e-3)", "--num-samples", "3")
    stop = ("--stop", "none", "--stop", "iterations=12")
    options = ("--num-env-runners", "0", *SMALL[2:], *QUICK)
    with scene.command("train", "cartpole", *words, *stop, *options) as command:
        command.until_rows(2)
        scene.fault(f"SIGKILL to a sample's process, {whom}")
        for _ in range(1 if whom.startswith("one") else 2):
            victims = command.children("ray::PPO")
            scene.chance.choice(victims).kill()
            time.sleep(3)
        code = command.ended()
        scene.found.outcome, scene.found.seconds = f"exit {code}, the others succeed", 0.0
    assert code == 1, command.said()
    scene.nothing_left()
    states = [
        json.loads(file.read_text())["state"]
        for file in scene.home.glob("runs/cartpole/*/status.json")
    ]
    lost = 1 if whom.startswith("one") else 2
    assert sorted(states) == ["failed"] * lost + ["succeeded"] * (3 - lost)
