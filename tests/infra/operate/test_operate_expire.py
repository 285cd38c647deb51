"""`make expire`: what is over is destroyed, what ends within a day is announced."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure_cli import GROUP, RUNNING, TAGS, resource

SOON = (datetime.now(UTC) + timedelta(hours=20)).strftime("%Y-%m-%dT%H:%MZ")
LATER = (datetime.now(UTC) + timedelta(hours=90)).strftime("%Y-%m-%dT%H:%MZ")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setattr("infra.operate.expire.ROOT", tmp_path)
    (tmp_path / "Pulumi.dev.yaml").touch()


def until(*times: str) -> list[dict]:
    return [
        resource(
            "Microsoft.Network/natGateways", f"savanna-dev-{i}", {**TAGS, "savanna-expires": t}
        )
        for i, t in enumerate(times)
    ]


@pytest.mark.parametrize(
    ("times", "destroyed", "says"),
    [
        (["2020-01-01T00:00Z"], True, "savanna-dev expired at 2020-01-01 00:00 UTC"),
        # It was extended after some machine had come.
        (["2020-01-01T00:00Z", LATER], False, ""),
        ([SOON], False, "make up STACK=dev ARGS=--extend"),
        ([LATER], False, ""),
    ],
)
def test_what_is_over_goes_and_what_ends_soon_is_announced(
    operate, cloud, checkout, times, destroyed, says
):
    cloud.running(resources=until(*times))
    code, out, err = operate("expire", "--yes", "--report", "expire.md")
    assert code == 0, err
    # Without anything to tell there is no file, and so no issue.
    assert Path("expire.md").exists() == bool(says)
    assert bool(cloud.calls("pulumi", "destroy")) == destroyed
    assert says in out and ("warning: savanna-dev (team@example.org) expires in 20 h" in out) == (
        times == [SOON]
    )


def test_nothing_is_destroyed_unasked(operate, cloud, checkout):
    cloud.running(resources=until("2020-01-01T00:00Z"))
    code, out, _ = operate("expire")
    assert code == 1 and "set YES=1" in out and not cloud.calls("pulumi", "destroy")


def test_a_cluster_that_resists_is_an_error_and_strangers_are_announced(operate, cloud, checkout):
    lock = "/subscriptions/s/resourceGroups/savanna-dev/providers/Microsoft.Authorization/locks/no"
    tags = {**TAGS, "savanna-stack": "old", "savanna-expires": "2020-01-01T00:00Z"}
    foundation = {**TAGS, "savanna-stack": "home", "savanna-expires": "never"}
    other = GROUP.replace("savanna-dev", "other")
    cloud.running(
        resources=[
            *until("2020-01-01T00:00Z"),
            resource("x", "theirs", tags, other),
            resource("x", "home", foundation, other),
        ],
        azure_locks=[{"id": lock, "level": "CanNotDelete"}],
    )
    code, out, _ = operate("expire", "--yes")
    assert code == 1 and "error: stack dev: lock CanNotDelete no on" in out
    assert "warning: stack old has no Pulumi.old.yaml here" in out and "home" not in out
    assert RUNNING["machines"]
