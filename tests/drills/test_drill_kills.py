"""Processes that are killed, or that stop and never go on."""

import signal
import time

import pytest
from drill_scene import QUICK, Command, Scene

PONG = (
    "train",
    "pong",
    "--num-env-runners",
    "1",
    "--checkpoint-freq",
    "1",
    "--stop",
    "none",
    "--set",
    "num_envs_per_env_runner=4",
    "--set",
    "train_batch_size_per_learner=512",
    "--set",
    "min_sample_timesteps_per_iteration=1000",
    *QUICK,
)
RUNNER, TRIAL = "ray::OneAgentEnvRunner", "ray::PPO"


def kill(scene: Scene, command: Command, name: str, number: int = signal.SIGKILL) -> None:
    process = command.child(name)
    scene.pause(1.5)
    scene.fault(f"{signal.Signals(number).name} to {name.removeprefix('ray::')}")
    process.send_signal(number)


def failed(scene: Scene, command: Command) -> None:
    """It said in one paragraph what happened and how to go on."""
    assert command.ended() == 1, command.said()
    scene.done("exit 1")
    scene.cut_off = True
    scene.nothing_left()
    said = command.said().splitlines()[-1]
    assert said.startswith("savanna: ") and "--resume" in said, command.said()
    assert scene.run_directory().status["state"] == "failed"


def end(scene: Scene, command: Command, outcome: str) -> None:
    """It went on; it still ends in good order."""
    seconds = scene.since()
    command.process.terminate()
    assert command.ended() == 143, command.said()
    scene.nothing_left()
    scene.done(outcome, exact=True)
    scene.found.seconds = seconds


@pytest.mark.parametrize("name", [TRIAL, "raylet", "gcs_server"])
def test_while_it_trains(scene, name):
    with scene.train() as command:
        command.until_rows(2)
        kill(scene, command, name)
        failed(scene, command)
    scene.resume()


def test_a_trial_that_may_be_tried_again(scene):
    with scene.train("--max-failures", "1") as command:
        command.until_rows(2)
        kill(scene, command, TRIAL)
        command.goes_on()
        end(scene, command, "tried again")


def test_the_only_env_runner_of_impala(scene):
    with scene.command(*PONG) as command:
        command.until_rows(2)
        kill(scene, command, "ray::AtariEnvRunner")
        command.goes_on()
        end(scene, command, "started again")


@pytest.mark.parametrize("name", ["ray::DashboardAgent", "ray::RuntimeEnvAgent"])
def test_ray_s_agents(scene, name):
    """The raylet ends with either of them."""
    with scene.train() as command:
        command.until_rows(2)
        kill(scene, command, name)
        failed(scene, command)
    scene.resume()


MOMENTS = {
    "while Ray starts": lambda command: command.child("gcs_server"),
    "while env runners are made": lambda command: command.until_said("Building env runners"),
    "in the first iteration": lambda command: command.child(RUNNER),
    "while it trains": lambda command: command.until_rows(2),
    "while a checkpoint is written": lambda command: command.until(
        lambda: (
            command.scene.kept() and list(command.scene.home.glob("runs/cartpole/*/.checkpoint_*"))
        )
    ),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_command_itself(scene, moment):
    """Everything that it started ends by itself, and its run can be resumed at once."""
    with scene.train() as command:
        MOMENTS[moment](command)
        if "checkpoint" not in moment:
            scene.pause(1.0)
        scene.fault(f"SIGKILL to the command {moment}")
        command.process.kill()
        assert command.process.wait(30) == -signal.SIGKILL
        scene.nothing_left(killed=True)
        scene.done("killed")
    if scene.kept():
        scene.resume()


def test_the_command_while_checkpoints_are_evaluated(scene):
    words = ("--num-env-runners", "0", "--stop", "iterations=2", "--evaluate-episodes", "3000")
    with scene.command("train", "cartpole", *words) as command:
        command.until_said("Evaluating")
        scene.fault("SIGKILL to the command")
        command.process.kill()
        command.process.wait(30)
        scene.nothing_left(killed=True)
        scene.done("killed")
    assert scene.run_directory().status["state"] == "succeeded"
    scene.resume()


@pytest.mark.parametrize("name", [RUNNER, TRIAL, "raylet", "gcs_server"])
def test_what_stands_still_for_a_while(scene, name):
    with scene.train() as command:
        command.until_rows(2)
        kill(scene, command, name, signal.SIGSTOP)
        scene.found.fault = f"{name.removeprefix('ray::')} stands still for 6 s"
        time.sleep(6)
        for process in command.children(name):
            process.send_signal(signal.SIGCONT)
        command.goes_on()
        end(scene, command, "goes on")


def test_a_command_that_stands_still_for_a_while(scene):
    with scene.train() as command:
        command.until_rows(2)
        scene.pause(1.0)
        scene.fault("the command stands still for 6 s")
        command.process.send_signal(signal.SIGSTOP)
        time.sleep(6)
        command.process.send_signal(signal.SIGCONT)
        command.goes_on()
        end(scene, command, "goes on")


@pytest.mark.parametrize("name", [RUNNER, TRIAL, "raylet", "gcs_server"])
def test_what_stands_still_for_good_can_be_stopped(scene, name):
    """First the signal that asks for a checkpoint, then, after a moment, Ctrl-C as users do."""
    with scene.train() as command:
        command.until_rows(2)
        kill(scene, command, name, signal.SIGSTOP)
        time.sleep(2)
        scene.cut_off = True
        scene.fault(f"{name.removeprefix('ray::')} stands still; SIGINT twice")
        command.process.send_signal(signal.SIGINT)
        time.sleep(3)
        if command.process.poll() is None:
            command.process.send_signal(signal.SIGINT)
        assert command.ended() == 130, command.said()
        scene.done("exit 130")
        scene.nothing_left()
    scene.resume()


@pytest.mark.parametrize("name", [RUNNER, TRIAL])
def test_what_stands_still_is_ended_by_one_signal_too(scene, name):
    with scene.train() as command:
        command.until_rows(2)
        kill(scene, command, name, signal.SIGSTOP)
        scene.cut_off = True
        scene.fault(f"{name.removeprefix('ray::')} stands still; SIGTERM once")
        command.process.terminate()
        assert command.ended() == 143, command.said()
        scene.done("exit 143")
        scene.nothing_left()
    scene.resume()
