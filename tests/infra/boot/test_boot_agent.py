"""A node's calls to Azure, against a stub that knows who may do what."""

import json
import tarfile
import time

import pytest
from azure_stub import AzureStub, Vm

from infra.boot.agent import __main__ as command
from infra.boot.agent import cloud, events, limits, stop, tagged
from infra.facts import facts

TOKEN = "f" * 64


@pytest.fixture
def azure():
    with AzureStub() as stub:
        stub.vms = [Vm("head-vm", "127.0.0.1", "head-id")]
        stub.secrets = {("head-id", "ray-token-test"): TOKEN}
        yield stub


@pytest.fixture
def node(azure, tmp_path, monkeypatch):
    """The environment of a node whose Azure is the stub; returns the folder of its files."""
    settings = {
        **facts(),
        "METADATA_ENDPOINT": azure.url,
        "ARM_ENDPOINT": azure.url,
        "REGISTRY": azure.service,
        "REGISTRY_ENDPOINT": azure.url,
        "BLOB_ENDPOINT": f"{azure.url}/blobs/results/dev",
        "TOKEN_SECRET": f"{azure.url}/vault/secrets/ray-token-test",
        "IDENTITY_CLIENT_ID": "head-id",
        "IDLE_MINUTES": "30",
        "MAX_HOURS": "12",
    }
    for name in ("RUNTIME_DIRECTORY", "LOGS_DIRECTORY"):
        settings[name] = str(tmp_path / name)
        (tmp_path / name).mkdir()
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.fixture
def commands(monkeypatch):
    """The machine's commands are recorded, not run."""
    ran = []
    monkeypatch.setattr(stop, "run", lambda *words, **_: ran.append(words) or True)
    monkeypatch.setattr(stop, "DEALLOCATE_PAUSE", 0.01)
    monkeypatch.setattr(stop, "POWER_OFF_AFTER", 0.01)
    return ran


def test_tokens_are_fetched_by_the_nodes_identity_for_the_right_audience(azure, node, capsys):
    assert command.main(["ray-token"]) == 0
    assert capsys.readouterr().out.strip() == TOKEN
    assert command.main(["registry-token"]) == 0
    password = capsys.readouterr().out.strip()
    assert azure.issued[password] == ("head-id", "refresh")
    assert command.main(["vm-id"]) == 0
    assert capsys.readouterr().out.strip() == "vm-id-of-head-vm"
    assert [c.detail for c in azure.made("token", "head-id")] == [cloud.VAULT, cloud.REGISTRY]


def test_what_is_refused_is_told_without_a_secret(azure, node, monkeypatch):
    azure.secrets = {}
    with pytest.raises(cloud.CloudError, match=r"GET .*/vault/secrets/ray-token-test: 403"):
        cloud.ray_token()
    monkeypatch.setenv("IDENTITY_CLIENT_ID", "somebody-else")
    with pytest.raises(cloud.CloudError, match=r"identity/oauth2/token: 400 .*not found") as error:
        cloud.registry_token()
    assert "secret-" not in str(error.value)
    monkeypatch.delenv("METADATA_ENDPOINT")
    with pytest.raises(cloud.CloudError, match="METADATA_ENDPOINT is not set"):
        cloud.instance()


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{}", b"<html>"])
def test_a_strange_answer_is_an_error_and_not_told(text):
    with pytest.raises(cloud.CloudError, match="an answer without value"):
        cloud.fields(text, "value")


def test_no_proxy_comes_between(azure, node, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert cloud.instance().name == "head-vm"


def test_an_unknown_call_is_refused(capsys):
    assert command.main(["reboot"]) == 2
    assert "unknown call: reboot" in capsys.readouterr().err


# --- stopping


def test_stopping_drains_keeps_the_logs_and_deallocates_in_this_order(
    azure, node, commands, monkeypatch
):
    logs = node / "LOGS_DIRECTORY"
    session = logs / "ray/session_1/logs"
    session.mkdir(parents=True)
    (session / "raylet.out").write_text("a raylet spoke")
    (session / "spilled").write_bytes(b"x" * 5000)
    (logs / "ray/session_latest").symlink_to("session_1")
    (logs / "report.txt").write_text("why")

    def drain(seconds):
        (session / "worker.out").write_text("its last words")
        return stop.run("docker", "stop")

    monkeypatch.setattr(stop, "drain", drain)
    assert stop.stop_machine("nobody needs it") == 0
    assert [c.what for c in azure.calls if c.what in ("blob", "deallocate")] == [
        "blob",
        "blob",
        "deallocate",
    ]
    assert [c.detail for c in azure.made("deallocate", "head-id")] == ["head-vm"]
    report, archive = azure.made("blob", "head-id")
    assert report.detail.startswith("results/dev/node-logs/head-vm/") and report.body == b"why"
    (node / "logs.tar.gz").write_bytes(archive.body)
    with tarfile.open(node / "logs.tar.gz") as tar:
        names = [f"ray/session_1/logs/{name}.out" for name in ("raylet", "worker")]
        assert sorted(tar.getnames()) == [*names, "report.txt"]
    words = [words[:2] for words in commands]
    assert words == [
        ("wall", "savanna: this machine stops: nobody needs it"),
        ("docker", "stop"),
        ("systemctl", "poweroff"),
    ]
    assert (node / "RUNTIME_DIRECTORY/stopping").exists()


@pytest.mark.parametrize("what", ["token", "blob", "deallocate", "instance"])
def test_whatever_fails_the_machine_still_stops(azure, node, commands, what, capsys):
    azure.failures = {what: 500}
    assert stop.stop_machine("a test") == 0
    assert commands[-1] == ("systemctl", "poweroff")
    said = capsys.readouterr().err
    if what == "blob":
        assert "the logs stay on this machine's disk" in said and azure.made("deallocate")
    else:
        assert "could not deallocate, 0 attempts left" in said and not azure.made("deallocate")
        assert "still billed" in said


# --- scheduled events


def test_only_what_takes_this_machine_away_counts():
    def event(kind, *names):
        return {"EventId": kind, "EventType": kind, "Resources": list(names)}

    document = {"Events": [event("Freeze", "a"), event("Preempt", "b"), event("Reboot", "a", "b")]}
    assert [e["EventType"] for e in events.ours(document, "a")] == ["Reboot"]
    assert [e["EventType"] for e in events.ours(document, "b")] == ["Preempt", "Reboot"]
    assert events.ours({}, "a") == []


def document():
    return json.loads(cloud.metadata(events.PATH))


def test_an_eviction_drains_in_time_then_acknowledges_once(azure, node, commands):
    watcher = events.Watcher("head-vm")
    watcher.look(document())
    assert commands == [] and not watcher.mark.exists()
    event = azure.announce(azure.vms[0], "Preempt")
    watcher.look(document())
    watcher.look(document())
    assert commands == [("docker", "stop", "-t", "28", "savanna")]
    assert [c.detail for c in azure.made("acknowledge")] == [event]
    assert watcher.mark.exists()
    azure.vms[0].events.clear()
    watcher.look(document())
    assert not watcher.mark.exists()


def test_a_failed_acknowledgement_is_tried_again_without_draining_twice(azure, node, commands):
    watcher = events.Watcher("head-vm")
    azure.announce(azure.vms[0], "Redeploy")
    azure.failures = {"acknowledge": 500}
    with pytest.raises(cloud.CloudError):
        watcher.look(document())
    azure.failures = {}
    watcher.look(document())
    assert commands == [("docker", "stop", "-t", facts()["STOP_TIMEOUT"], "savanna")]
    assert len(azure.made("acknowledge")) == 1


# --- limits


def made(started=0.0, busy=0.0, idle=600.0, life=3600.0):
    return limits.Limits(started, busy, idle, life)


def test_the_nearer_limit_decides():
    assert made().next(100).why == "no Ray job for 10 minutes"
    assert made(busy=3500).next(3550).why == "it has run for 1 hours"
    assert made(busy=3500).next(3550).left == 50
    assert made(idle=0).next(100).left == 3500
    assert made(idle=0, life=0).next(1e9) is None


def test_users_are_warned_five_minutes_before_or_at_half():
    assert not made().next(299).soon and made().next(300).soon
    assert not made(idle=60).next(29).soon and made(idle=60).next(30).soon


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
def test_a_job_keeps_the_head(status):
    one = made()
    one.see([{"status": "SUCCEEDED", "end_time": 5000}, {"status": status}], now=500, clock=9e9)
    assert one.next(500).left == 600


def test_a_finished_job_does_not_but_its_end_counts():
    one = made()
    one.see([], now=500, clock=10_000)
    assert one.busy == 0
    one.see([{"status": "FAILED", "end_time": 9_990_000}], now=500, clock=10_000)
    assert one.busy == 490
    one.see([{"status": "FAILED", "end_time": 10_990_000}], now=500, clock=10_000)  # its clock
    assert one.busy == 500


def test_a_head_that_does_not_answer_is_not_called_idle():
    one = made()
    one.see(None, now=500, clock=10_000)
    assert one.busy == 500


def test_the_lifetime_counts_from_the_boot_though_the_service_restarts(tmp_path):
    first = limits.started(tmp_path / "started")
    assert abs(first - time.monotonic()) < 5
    assert limits.started(tmp_path / "started") == first


def test_the_watch_warns_then_stops(azure, node, commands, monkeypatch, capsys):
    monkeypatch.setenv("IDLE_MINUTES", "0.05")
    monkeypatch.setattr(limits, "POLL_SECONDS", 0.5)
    monkeypatch.setattr(limits, "ray_jobs", lambda _: [])
    assert limits.watch() == 0
    said = capsys.readouterr().err
    assert said.index("this machine stops in") < said.index("this machine stops: no Ray job for")
    assert azure.made("deallocate", "head-id")


def tag(azure, text):
    azure.vms[0].tags = {tagged.TAG: text}


def test_limits_that_change_reach_a_machine_that_runs(azure, node, capsys):
    one = made()
    assert limits.refresh(one)
    assert (one.idle_limit, one.life_limit) == (30 * 60, 12 * 3600)
    tag(azure, "JOIN_MINUTES=5 IDLE_MINUTES=90 MAX_HOURS=16")
    assert limits.refresh(one)
    assert (one.idle_limit, one.life_limit) == (90 * 60, 16 * 3600)
    assert "90 minutes without a Ray job, 16 hours in all" in capsys.readouterr().err
    assert command.main(["join-minutes"]) == 0
    assert capsys.readouterr().out.strip() == "5"
    # Azure does not answer for a moment: what is known goes on to hold.
    azure.failures = {"instance": 500}
    assert not limits.refresh(one, quiet=True)
    assert (one.idle_limit, one.life_limit) == (90 * 60, 16 * 3600)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", ["", "nonsense", "MAX_HOURS=nan", "MAX_HOURS=-1", "MAX_HOURS="])
def test_a_tag_without_sense_changes_nothing(azure, node, text):
    tag(azure, text)
    assert tagged.limits()["MAX_HOURS"] == 12


def test_a_running_job_gets_more_hours(azure, node, commands, monkeypatch):
    """The head was to stop at once; the tag arrives first."""
    monkeypatch.setenv("MAX_HOURS", "0.0001")
    tag(azure, "MAX_HOURS=24")
    ran = []

    def jobs(_):
        ran.append(1)
        if len(ran) == 3:
            tag(azure, "MAX_HOURS=0.0001")
        return [{"status": "RUNNING"}]

    monkeypatch.setattr(limits, "POLL_SECONDS", 0.2)
    monkeypatch.setattr(limits, "ray_jobs", jobs)
    assert limits.watch() == 0
    assert len(ran) > 3
