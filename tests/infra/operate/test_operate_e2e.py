"""`make e2e` must be requested explicitly, and destroys what it created whatever happens."""

import shutil
from pathlib import Path

import pytest
from azure_cli import RUNNING, ray_node

from infra.facts import ROOT
from infra.operate import e2e
from infra.operate.__main__ import main
from infra.operate.tools import OperateError
from infra.plan import plan


@pytest.fixture
def project(cloud, tmp_path, monkeypatch):
    """A copy of the project files, into which the stack's settings are written."""
    cloud.answer_here(monkeypatch)
    foundation = tmp_path / "infra" / "foundation"
    foundation.mkdir(parents=True)
    shutil.copy(ROOT / "Pulumi.yaml", tmp_path)
    shutil.copy(ROOT / "infra" / "foundation" / "Pulumi.yaml", foundation)
    monkeypatch.setattr(e2e, "PLACES", {"savanna": tmp_path, "savanna-foundation": foundation})
    monkeypatch.setattr(
        "infra.operate.stack.read_given", lambda name: plan.read_given(name, root=tmp_path)
    )
    (tmp_path / "key.pub").write_text(plan.EXAMPLE_CLUSTER["sshPublicKey"])
    monkeypatch.setenv("E2E", "1")
    # Tags of the fictional stack.
    unique = "0a1b2c"
    monkeypatch.setattr(e2e.secrets, "token_hex", lambda _n: unique)
    tags = {
        "savanna-project": f"savanna-{unique}",
        "savanna-stack": f"e2e-{unique}",
        "savanna-expires": "2099-01-01T00:00Z",
    }
    group = f"savanna-{unique}-e2e-{unique}"
    machines = [{**one, "tags": tags} for one in RUNNING["machines"]]
    cloud.state["when_up"] = {**RUNNING, "machines": machines, "groups": [group], "resources": []}
    cloud.save()
    return tmp_path


@pytest.fixture
def used(cloud, monkeypatch):
    """The job is not run, and a third node joins when the pool is scaled."""
    monkeypatch.setattr(e2e, "_train", lambda stack: None)

    def grow(stack, pool, count):
        nodes = [*RUNNING["ray_nodes"], ray_node("10.0.0.133")]
        cloud.state.update(__import__("json").loads((cloud.folder / "state.json").read_text()))
        cloud.save(ray_nodes=nodes)

    monkeypatch.setattr(e2e, "scale", grow)


def end_to_end(project: Path, minutes: float = 0.2) -> int:
    return main(
        [
            "e2e",
            "--owner",
            "me@example.org",
            "--location",
            "westeurope",
            "--minutes",
            str(minutes),
            "--key",
            str(project / "key.pub"),
        ]
    )


def destroyed(cloud) -> list[str]:
    return [call[1] for call in cloud.calls("pulumi", "destroy")]


def test_it_is_never_run_by_accident(cloud, monkeypatch, capfd):
    monkeypatch.delenv("E2E", raising=False)
    shutil.copy(cloud.commands / "ssh", cloud.commands / "docker")
    assert main(["e2e"]) == 2
    assert "set E2E=1" in capfd.readouterr().err and cloud.everything() == ""


def test_everything_wrong_is_said_before_anything(project, cloud, capfd):
    shutil.copy(cloud.commands / "ssh", cloud.commands / "docker")
    assert main(["e2e", "--key", "nowhere"]) == 2
    err = capfd.readouterr().err
    assert "OWNER=" in err and "LOCATION=" in err and "nowhere: no such file" in err
    assert cloud.everything() == "" and not list(project.glob("Pulumi.e2e-*"))


def test_it_builds_uses_and_destroys_both(project, cloud, used, capfd):
    shutil.copy(cloud.commands / "ssh", cloud.commands / "docker")
    assert end_to_end(project) == 0, capfd.readouterr().err
    assert [call[1] for call in cloud.calls("pulumi", "up")] == ["foundation", "cluster"]
    assert destroyed(cloud) == ["cluster", "foundation"]
    assert [call[3] for call in cloud.calls("make")] == [] or all(
        "FLAVOURS=cpu" in call for call in cloud.calls("make")
    )
    assert not list(project.rglob("Pulumi.e2e-*"))
    assert "everything of stack e2e-0a1b2c is gone" in capfd.readouterr().err


@pytest.mark.parametrize("at", ["up", "job", "interrupt"])
def test_it_destroys_also_when_something_fails(project, cloud, used, at, monkeypatch, capfd):
    shutil.copy(cloud.commands / "ssh", cloud.commands / "docker")
    if at == "up":
        cloud.state["when_up"]["ray_nodes"] = []
        cloud.save()
    failure = KeyboardInterrupt if at == "interrupt" else OperateError("the job failed")

    def fail(stack):
        raise failure

    if at != "up":
        monkeypatch.setattr(e2e, "_train", fail)
    minutes = 0.01 if at == "up" else 0.2  # there, it waits in vain
    assert end_to_end(project, minutes) == (130 if at == "interrupt" else 1)
    assert destroyed(cloud) == ["cluster", "foundation"]
    assert not list(project.rglob("Pulumi.e2e-*"))


def test_what_could_not_be_destroyed_is_said_and_its_settings_kept(project, cloud, used, capfd):
    shutil.copy(cloud.commands / "ssh", cloud.commands / "docker")
    cloud.save(destroy_fails="foundation")
    assert end_to_end(project) == 1
    err = capfd.readouterr().err
    assert "NOT everything of stack e2e-0a1b2c is gone" in err and "make down purge" in err
    assert len(list(project.rglob("Pulumi.e2e-*"))) == 2
