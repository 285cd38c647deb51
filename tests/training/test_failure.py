"""What users are told about a failed run."""

import threading
from types import SimpleNamespace

import pytest
import ray
import ray.util

from savanna.algorithms import supply
from savanna.session import failure
from savanna.session.failure import cause_of, last_failure


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "ray.exceptions.RayTaskError(ValueError): ray::SingleAgentEnvRunner.sample() (pid=12, "
            "ip=10.0.0.7)\nValueError: bad frame",
            ["An env runner (process 12) on node 10.0.0.7 failed", "ValueError: bad frame"],
        ),
        (
            "ray.exceptions.ActorDiedError: The actor died unexpectedly\n\tpid: 44\n\tip: 10.0.0.9",
            ["The training process", "died: it raised no error"],
        ),
        (
            "ray.exceptions.OutOfMemoryError: Task was killed: the node is running low on memory",
            ["It ran out of memory"],
        ),
    ],
)
def test_failures_are_explained(text, says, monkeypatch):
    monkeypatch.setattr(failure, "LATE_SECONDS", 0)
    cause = cause_of(text, "train.log")
    assert all(part in cause for part in says), cause


DEAD = (
    "RayTaskError(ActorDiedError): ray::PPO.train() (pid=7, ip=10.0.0.4)\n"
    "ray.exceptions.ActorDiedError: The actor died unexpectedly\n"
    "\tclass_name: SingleAgentEnvRunner\n\tpid: 44\n\tip: 10.0.0.9\n"
    "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker "
    "exit detail: Worker unexpectedly exits with a connection error code 2. End of file. Some "
    "common causes include: (1) the process was killed by the OOM killer due to high memory "
    "usage, (2) ray stop --force was called.\n"
)


def test_a_dead_process_is_named_with_its_own_node(tmp_path, monkeypatch):
    monkeypatch.setattr(failure, "LATE_SECONDS", 0)
    cause = cause_of(DEAD, str(tmp_path / "train.log"))
    assert cause == (
        "An env runner (process 44) on node 10.0.0.9 died: it raised no error, so it was killed, "
        "or its node was lost."
    )


def test_what_ray_guesses_of_every_dead_process_is_not_said():
    assert supply.why(DEAD) == "its process was killed or crashed"
    assert supply.why("killed: the node ran out of memory") == "its machine ran out of memory"


def test_only_the_last_of_several_failures_is_told():
    first, last = (f"Failure # {n}\nray::PPO.train() (pid={n})\nValueError: no\n" for n in "12")
    text = first + last
    assert cause_of(last_failure(text), "log") == (
        "The training process (process 2) failed: ValueError: no."
    )


def test_last_words_of_a_dead_process_may_come_late_and_line_by_line(tmp_path):
    log = tmp_path / "train.log"
    log.write_text(
        "(Other pid=44) ValueError: another process, of this machine\n"
        "(Env pid=44, ip=10.0.0.9)\x1b[0m ERROR The error type: <class 'RuntimeError'>\n"
    )

    def write_the_rest() -> None:
        with log.open("a") as file:
            file.write("(Env pid=44, ip=10.0.0.9)\x1b[0m RuntimeError: the wheel fell off\n")

    late = threading.Timer(0.5, write_the_rest)
    late.start()
    cause = cause_of(DEAD, str(log))
    late.join()
    assert "died: RuntimeError: the wheel fell off" in cause


def test_rays_own_file_has_the_last_words_of_a_process_here(tmp_path, monkeypatch):
    monkeypatch.setattr(failure, "LATE_SECONDS", 0)
    logs = tmp_path / "session_1/logs"
    logs.mkdir(parents=True)
    (logs / "worker-ab-01-44.err").write_text("RuntimeError: the wheel fell off\n")
    context = SimpleNamespace(
        get_temp_dir=lambda: str(tmp_path), get_session_name=lambda: "session_1"
    )
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: context)
    for here, says in (("10.0.0.9", "the wheel fell off"), ("10.0.0.4", "it raised no error")):
        monkeypatch.setattr(ray.util, "get_node_ip_address", lambda here=here: here)
        assert says in cause_of(DEAD, str(tmp_path / "train.log"))
