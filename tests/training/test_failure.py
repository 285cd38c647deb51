"""What users are told about a failed run."""

import threading
from types import SimpleNamespace

import pytest
import ray
import ray.util

from savanna.session import failure
from savanna.session.failure import explain_failure


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "ray.exceptions.RayTaskError(ValueError): ray::SingleAgentEnvRunner.sample() (pid=12, "
            "ip=10.0.0.7)\nValueError: bad frame",
            ["An env runner (PID 12) on node 10.0.0.7 failed", "ValueError: bad frame"],
        ),
        (
            "ray.exceptions.ActorDiedError: The actor died unexpectedly\n\tpid: 44\n\tip: 10.0.0.9",
            ["The training process", "died", "It raised no error"],
        ),
        (
            "ray.exceptions.OutOfMemoryError: Task was killed: the node is running low on memory",
            ["It ran out of memory"],
        ),
    ],
)
def test_failures_are_explained(text, says, monkeypatch):
    monkeypatch.setattr(failure, "LATE_SECONDS", 0)
    cause = explain_failure(None, text, "train.log")
    assert all(part in cause for part in says), cause


DEAD = (
    "RayTaskError(ActorDiedError): ray::PPO.train() (pid=7, ip=10.0.0.4)\n"
    "ray.exceptions.ActorDiedError: The actor died unexpectedly\n"
    "\tclass_name: SingleAgentEnvRunner\n\tpid: 44\n\tip: 10.0.0.9\n"
)


def test_a_dead_process_is_named_with_its_own_node(tmp_path, monkeypatch):
    monkeypatch.setattr(failure, "LATE_SECONDS", 0)
    cause = explain_failure(None, DEAD, str(tmp_path / "train.log"))
    assert "An env runner (PID 44) on node 10.0.0.9 died" in cause
    assert "It raised no error" in cause


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
    cause = explain_failure(None, DEAD, str(log))
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
    for here, says in (("10.0.0.9", "the wheel fell off"), ("10.0.0.4", "It raised no error")):
        monkeypatch.setattr(ray.util, "get_node_ip_address", lambda here=here: here)
        assert says in explain_failure(None, DEAD, str(tmp_path / "train.log"))
