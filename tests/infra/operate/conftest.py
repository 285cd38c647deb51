"""A stack with known settings, and fake command lines."""

import pytest
from azure_cli import Cloud

from infra.config.os_images import load as os_images
from infra.operate import (
    access,
    down,
    leave,
    orphans,
    progress,
    publish,
    stack,
    start,
    tools,
    tunnel,
    up,
    wait,
    workers,
    zero,
)
from infra.operate.checks import account
from infra.plan import plan
from infra.plan.plan import EXAMPLE_CLUSTER, EXAMPLE_FOUNDATION, Given

PLANS: dict[str, plan.Plan] = {}


def planned(given: plan.Given, now, prices) -> plan.Plan:
    """The real plan, which takes seconds, only once for the same settings."""
    if repr(given) not in PLANS:
        PLANS[repr(given)] = plan.make(given, now, prices)
    return PLANS[repr(given)]


@pytest.fixture
def cloud(tmp_path, monkeypatch) -> Cloud:
    """A subscription in which `make up` works; tests change its `state` to break that."""
    images = [image.urn for image in os_images().values()]
    fake = Cloud(tmp_path, images, account.PROVIDERS)
    fake.environment(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(publish, "IMAGES", tmp_path / "images")
    monkeypatch.setattr(publish, "RECIPES", fake.recipes)
    monkeypatch.setattr(stack, "PROPAGATION", 0.0)
    monkeypatch.setattr(workers, "POLL", 0.02)
    monkeypatch.setattr(access, "POLL", 0.02)
    monkeypatch.setattr(access, "WAIT", 0.5)
    monkeypatch.setattr(tools, "SUBSCRIPTION", "")
    monkeypatch.setenv("ARM_SUBSCRIPTION_ID", "")  # is put back as it was
    monkeypatch.delenv("ARM_SUBSCRIPTION_ID")
    monkeypatch.setattr(down, "SETTLE", (0.0, 0.0))
    monkeypatch.setattr(zero, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(orphans, "POLL", 0.0)
    monkeypatch.setattr(start, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(tunnel, "REOPEN", (0.0, 0.0))
    monkeypatch.setattr(progress, "POLL", 0.05)
    monkeypatch.setattr(tunnel, "POLL", 0.02)
    monkeypatch.setattr(wait, "POLL", 0.05)
    monkeypatch.setattr(leave, "POLL", 0.05)
    monkeypatch.setattr(up, "make", planned)
    return fake


@pytest.fixture
def settings(monkeypatch) -> dict:
    """The cluster's values, to change."""
    values = dict(EXAMPLE_CLUSTER)
    monkeypatch.setattr(
        "infra.operate.stack.read_given", lambda name: Given(name, values, EXAMPLE_FOUNDATION)
    )
    return values


@pytest.fixture
def operate(cloud, settings, capfd, monkeypatch):
    """Run a verb; its exit code, stdout and stderr."""
    cloud.answer_here(monkeypatch)
    return verbs(capfd)


@pytest.fixture
def operate_processes(cloud, settings, capfd):
    """The same, but every command is a process, as outside of tests."""
    return verbs(capfd)


def verbs(capfd):
    from infra.operate.__main__ import main

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        out, err = capfd.readouterr()
        return code, out, err

    return run
