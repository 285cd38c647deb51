"""`make down`, `make purge`: what goes, what stays, and what is left."""

import shlex

import pytest
from azure_cli import GROUP, RUNNING, resource

from infra.facts import ROOT
from infra.operate.leave import STOP
from infra.plan.plan import EXAMPLE_FOUNDATION

FOREVER = {"savanna-project": "savanna", "savanna-stack": "dev", "savanna-expires": "never"}
KEPT = resource(
    "Microsoft.Storage/storageAccounts",
    "savannaacc",
    FOREVER,
    GROUP.replace("savanna-dev", "savanna-dev-foundation"),
)


def test_down_lists_destroys_and_verifies(operate_processes, cloud):
    cloud.running(
        resources=[*RUNNING["resources"], KEPT],
        when_down={"groups": [], "machines": [], "resources": [KEPT]},
    )
    code, _, err = operate_processes("down", "--yes")
    assert code == 0, err
    goes, stays = err.split("\nwill stay:\n")
    assert "savanna-dev-head_OsDisk_1" in goes and "savanna-dev-nat" in goes
    assert "savannaacc" not in goes
    assert "results in abfss://results@acc" in stays and "images in images.azurecr.io" in stays
    assert "gone and no longer billed" in err
    assert [call[1] for call in cloud.calls("pulumi", "destroy")] == ["cluster"]


def test_the_head_takes_its_leave_before_it_is_destroyed(operate, cloud):
    cloud.running()
    assert operate("down", "--yes")[0] == 0
    made = cloud.everything().splitlines()
    [leave] = [i for i, call in enumerate(made) if "agent stop" in call]
    [destroy] = [i for i, call in enumerate(made) if '"destroy"' in call]
    assert leave < destroy


def test_a_head_that_cannot_be_asked_does_not_keep_the_cluster_alive(operate, cloud):
    cloud.running(ssh_refuses=True)
    code, _, err = operate("down", "--yes")
    assert code == 0 and "Connection refused" in err and "since their last checkpoint" in err
    assert cloud.calls("pulumi", "destroy")


def test_down_at_once_asks_nobody(operate, cloud):
    cloud.running()
    assert operate("down", "--yes", "--now")[0] == 0
    assert not cloud.calls("ssh") and cloud.calls("pulumi", "destroy")


def test_down_without_a_yes_asks_and_without_a_terminal_refuses(operate, cloud, monkeypatch):
    cloud.running()
    code, _, err = operate("down")
    assert code == 2 and "Destroy the cluster savanna-dev?" in err and "set YES=1" in err
    for answer, destroyed in (("n\n", 0), ("\n", 0), ("y\n", 1)):
        terminal = type("Terminal", (), {"isatty": lambda _: True, "readline": lambda _: answer})
        monkeypatch.setattr("sys.stdin", terminal())
        code, _, err = operate("down")
        assert code == (0 if destroyed else 1)
        assert len(cloud.calls("pulumi", "destroy")) == destroyed


def test_what_is_left_is_named_and_an_error(operate, cloud):
    left = resource("Microsoft.Compute/disks", "savanna-dev-head_OsDisk_1", tags=None)
    lock = f"{left['id']}/providers/Microsoft.Authorization/locks/keep"
    cloud.running(
        when_down={"groups": ["savanna-dev"], "machines": [], "resources": [left]},
        azure_locks=[{"id": lock, "level": "CanNotDelete", "notes": "audit"}],
    )
    code, _, err = operate("down", "--yes")
    assert code == 1 and "1 resources are left and may cost money" in err
    assert "keep on /subscriptions" in err.split("Destroy")[0]
    assert f"az resource delete --ids {left['id']}" in err
    assert "is gone" not in err


def test_what_is_left_outside_the_group_is_found_by_its_tags(operate, cloud):
    stray = resource("Microsoft.Network/publicIPAddresses", "old", group="/subscriptions/s/other")
    cloud.running(when_down={"groups": [], "machines": [], "resources": [stray, KEPT]})
    code, _, err = operate("down", "--yes")
    assert code == 0, err
    assert [call[5] for call in cloud.calls("az", "resource", "delete")] == [stray["id"]]


def test_in_a_group_of_others_only_ours_is_looked_at(operate, cloud, settings):
    settings["resourceGroup"] = "shared"
    group = GROUP.replace("savanna-dev", "shared")
    theirs = resource("Microsoft.Compute/disks", "payroll", tags=None, group=group)
    ours = resource("Microsoft.Compute/disks", "savanna-dev-head_OsDisk", tags=None, group=group)
    cloud.running(
        groups=["shared"],
        resources=[theirs, ours],
        when_down={"groups": ["shared"], "resources": [theirs]},
    )
    code, _, err = operate("down", "--yes")
    assert code == 0 and "savanna-dev-head_OsDisk" in err and "payroll" not in err
    assert "the resource group shared, which existed before" in err


def test_what_pulumi_cannot_destroy_goes_by_its_tags(operate, cloud):
    cloud.running(destroy_fails="cluster")
    code, _, err = operate("down", "--yes")
    assert code == 0 and "a resource is locked" in err and "savanna-dev is gone" in err
    [group] = cloud.calls("az", "group", "delete")
    assert "savanna-dev" in group
    # Nothing is there of which Pulumi could have a record.
    assert cloud.calls("pulumi", "stack", "rm")


def test_a_cluster_that_is_half_up_can_be_taken_down(operate, cloud):
    # `pulumi up` failed early: there are resources but no outputs.
    cloud.running()
    cloud.state["outputs"]["cluster"] = {}
    cloud.save()
    assert operate("down", "--yes")[0] == 0
    assert cloud.calls("pulumi", "destroy")


def test_down_without_a_cluster_does_nothing(operate, cloud):
    code, _, err = operate("down", "--yes")
    assert code == 0 and "there is no cluster savanna-dev" in err
    assert not cloud.calls("pulumi", "destroy")


def test_purge_wants_the_cluster_gone_first(operate, cloud):
    cloud.running()
    code, _, err = operate("purge", "--yes", "--confirm", "savanna-dev")
    assert code == 1 and "make down STACK=dev first" in err
    assert not cloud.calls("pulumi", "destroy")


@pytest.mark.parametrize(
    ("arguments", "expected", "says"),
    [
        (["--yes"], 2, "set CONFIRM=savanna-dev"),
        (["--confirm", "savanna-dev"], 2, "set YES=1"),
        (["--yes", "--confirm", "savanna"], 1, "'savanna' is not 'savanna-dev'"),
    ],
)
def test_purge_asks_twice(operate, cloud, arguments, expected, says):
    cloud.save(deployed=["foundation"])
    code, _, err = operate("purge", *arguments)
    assert code == expected and says in err
    assert "will be lost for good: all results in abfss://" in err
    assert not cloud.calls("pulumi", "destroy") and not cloud.calls("pulumi", "state")


def test_purge_lifts_the_protection_and_destroys(operate, cloud):
    cloud.save(deployed=["foundation"])
    code, _, err = operate("purge", "--yes", "--confirm", "savanna-dev")
    assert code == 0, err
    [unprotect] = cloud.calls("pulumi", "state", "unprotect")
    [destroy] = cloud.calls("pulumi", "destroy")
    assert unprotect[1] == destroy[1] == "foundation"


def test_purge_leaves_a_registry_that_was_brought_along(operate, cloud, monkeypatch):
    group = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g"
    registry = f"{group}/providers/Microsoft.ContainerRegistry/registries/images"
    monkeypatch.setitem(EXAMPLE_FOUNDATION, "registry", registry)
    cloud.save(deployed=["foundation"])
    _, _, err = operate("purge", "--yes", "--confirm", "no")
    assert "will stay: the registry images.azurecr.io" in err and "all images" not in err


def test_purge_spares_a_foundation_that_other_clusters_may_use(operate, cloud):
    other = resource(
        "x",
        "other",
        {
            "savanna-project": "savanna",
            "savanna-stack": "prod",
            "savanna-expires": "2099-01-01T00:00Z",
        },
    )
    cloud.save(deployed=["foundation"], resources=[other])
    code, _, err = operate("purge", "--yes", "--confirm", "savanna-dev")
    assert code == 1 and "prod" in err and not cloud.calls("pulumi", "destroy")


def test_the_head_is_asked_as_its_own_units_would():
    # The agent gets the same environment as from savanna-limits.service, which also stops the head.
    unit = (ROOT / "infra" / "boot" / "files" / "savanna-limits.service").read_text()
    words = shlex.split(STOP)
    given = [words[i + 1] for i, word in enumerate(words) if word == "-p"]
    assert len(given) == 5
    for setting in given:
        assert any(line.startswith(setting) for line in unit.splitlines()), setting
    assert words[-4:] == ["/usr/bin/python3", "-m", "agent", "stop"]
