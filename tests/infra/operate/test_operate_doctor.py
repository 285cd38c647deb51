"""`make doctor` reports everything that would go wrong, each with its fix."""

import pytest
from azure_cli import GOOD, sku, usage

from infra.facts import ROOT
from infra.plan.plan import EXAMPLE_FOUNDATION


def without(key: str, **where: str) -> list[dict]:
    return [one for one in GOOD[key] if any(one.get(k) != v for k, v in where.items())]


def test_a_good_subscription_has_no_problem(operate_processes, cloud):
    code, out, _ = operate_processes("doctor")
    assert code == 0 and "PROBLEM" not in out and "warning" not in out
    for words in (
        "Research",
        "region westeurope",
        "Standard_D16as_v6 is offered as spot",
        "Standard NCASv3_T4 Family: 0 of 16 in use, 8 at most",
    ):
        assert words in out
    assert not cloud.calls("pulumi", "up")


@pytest.mark.parametrize(
    ("changes", "problem", "fix"),
    [
        ({"logged_in": False}, "not logged in to Azure", "az login"),
        ({"login_expired": True}, "not logged in to Azure: AADSTS700082", "az login"),
        ({"budgets": False}, "this subscription has no budgets", "monthlyBudget: 0"),
        (
            {"wrong_passphrase": True, "deployed": ["foundation", "cluster"]},
            "cannot decrypt the state of stack dev",
            "PULUMI_CONFIG_PASSPHRASE_FILE",
        ),
        ({"pulumi_login": False}, "Pulumi has no place for its state", "pulumi login azblob://"),
        (
            {"backend": "azblob://state"},
            "state in azblob://state has no passphrase",
            "PULUMI_CONFIG_PASSPHRASE_FILE",
        ),
        ({"az_version": "2.40.0"}, "az 2.40.0 is too old", "install 2.60"),
        ({"pulumi_version": "v3.100.0"}, "pulumi v3.100.0 is too old", "install 3.272"),
        (
            {"account": {**GOOD["account"], "state": "Disabled"}},
            "is Disabled",
            "az account set --subscription",
        ),
        ({"extensions": []}, "lacks the bastion extension", "az extension add --name bastion"),
        ({"providers": []}, "Microsoft.Compute is not registered", "az provider register"),
        ({"locations": ["eastus"]}, "no region westeurope", "az account list-locations"),
        (
            {"skus": without("skus", name="Standard_NC8as_T4_v3")},
            "Standard_NC8as_T4_v3 is not offered in westeurope",
            "choose another size",
        ),
        (
            {
                "skus": [
                    *without("skus", name="Standard_NC8as_T4_v3"),
                    sku(
                        "Standard_NC8as_T4_v3",
                        8,
                        56,
                        1,
                        restrictions=[
                            {"type": "Location", "reasonCode": "NotAvailableForSubscription"}
                        ],
                    ),
                ]
            },
            "Standard_NC8as_T4_v3 in westeurope: NotAvailableForSubscription",
            "choose another size",
        ),
        (
            {
                "skus": [
                    *without("skus", name="Standard_D16as_v6"),
                    {
                        **sku("Standard_D16as_v6", 16, 64),
                        "capabilities": [{"name": "LowPriorityCapable", "value": "False"}],
                    },
                ]
            },
            "Standard_D16as_v6 is not offered as spot",
            "spot: false",
        ),
        ({"images": []}, "no OS image Canonical:", "az vm image list --all --location westeurope"),
        (
            {
                "usage": [
                    usage("cores", 100),
                    usage("lowPriorityCores", 100),
                    usage("Standard NCASv3_T4 Family", 16, used=12),
                ]
            },
            "Standard NCASv3_T4 Family: 4 of 16 free, 8 needed to start",
            "raise it to 20",
        ),
        (
            {
                "usage": [
                    usage("cores", 100),
                    usage("lowPriorityCores", 8),
                    usage("Standard NCASv3_T4 Family", 16),
                ]
            },
            "Regional spot vCPUs: 8 of 8 free, 16 needed to start",
            "raise it to 64",
        ),
    ],
)
def test_a_problem_is_named_with_its_fix(operate, cloud, changes, problem, fix, monkeypatch):
    for name in ("PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    cloud.save(**changes)
    code, out, _ = operate("doctor")
    assert code == 1
    lines = out.splitlines()
    [at] = [i for i, line in enumerate(lines) if line.startswith("PROBLEM") and problem in line]
    assert fix in lines[at + 1]


def test_what_does_not_stop_up_is_a_warning(operate, cloud):
    cloud.save(
        skus=[*without("skus", name="Standard_D16as_v6"), sku("Standard_D16as_v6", 16, 48)],
        usage=[
            usage("cores", 100),
            usage("lowPriorityCores", 20),
            usage("Standard NCASv3_T4 Family", 16),
        ],
    )
    code, out, _ = operate("doctor")
    assert code == 0
    assert "memory is 48, not 64" in out
    assert "20 of 20 free, 16 to start, 64 with all workers" in out


@pytest.mark.parametrize(
    ("roles", "enough"),
    [
        (["Owner"], True),
        (["Contributor", "User Access Administrator"], True),
        # It may assign roles, but not define the one that lets nodes stop themselves.
        (["Contributor", "Role Based Access Control Administrator"], False),
        (["Contributor"], False),
        (["Reader", "User Access Administrator"], False),
        ([], False),
    ],
)
def test_rights_that_may_not_do_are_a_warning(operate, cloud, roles, enough):
    cloud.save(roles=roles)
    code, out, _ = operate("doctor")
    assert code == 0 and ("that may not be enough" in out) == (not enough)


def test_all_problems_are_told_at_once(operate, cloud):
    cloud.save(extensions=[], images=[], usage=[usage("cores", 1)], skus=[])
    _, out, _ = operate("doctor")
    assert out.count("PROBLEM") == 1 + 2 + 1 + 2


def test_without_the_tools_it_says_what_to_install(operate, cloud, monkeypatch):
    cloud.environment(monkeypatch, with_tools=False)
    code, out, _ = operate("doctor")
    assert code == 1
    for name in ("az", "pulumi", "ssh"):
        assert f"PROBLEM  {name} is not installed" in out
    for verb in ("up", "down", "status", "tunnel", "ssh", "preview", "purge", "foundation"):
        code, _, err = operate(verb)
        assert code == 1 and "az is not installed. Get" in err and "pulumi is not installed" in err
    assert "workers: az is not installed" in operate("workers", "--pool", "cpu", "-n", "1")[2]


def test_wrong_settings_are_problems_among_the_others(operate, cloud, settings):
    settings.update(headSize="Standard_NC6", owner="")
    cloud.save(az_version="2.40.0")
    code, out, _ = operate("doctor")
    assert code == 1 and out.count("PROBLEM") == 3
    for words in ("az 2.40.0 is too old", "headSize 'Standard_NC6'", "owner"):
        assert words in out


def test_images_that_are_named_by_tag_need_what_builds_them(operate, cloud, settings):
    cloud.save(docker=False)
    cloud.lacks("wheel.sh", "no CPU wheel of torch: put one there")
    cloud.lacks("clean.sh", "")
    code, out, _ = operate("doctor")
    assert code == 1 and out.count("PROBLEM") == 3
    for words in (
        "no Docker Engine answers",
        "no CPU wheel of torch\n         fix: put one there",
        "uncommitted changes",
    ):
        assert words in out
    digest = "@sha256:" + "ab" * 32
    settings.update(cpuImage=f"savanna-cpu{digest}")
    assert operate("doctor")[1].count("PROBLEM") == 2  # only the cpu image needs the wheel
    settings.update(gpuImage=f"savanna-gpu{digest}")
    assert operate("doctor")[0] == 0


def test_a_login_that_has_expired_is_said_among_what_was_found(operate, cloud):
    cloud.save(login_expired=True)
    code, out, _ = operate("doctor")
    assert code == 1 and "ok       pulumi v3.272.0" in out and out.count("PROBLEM") == 1
    for verb in ("status", "up", "down"):
        cloud.save(logged_in=False)
        code, _, err = operate(verb, *(["--yes"] if verb != "status" else []))
        assert code == 1 and "az login" in err, verb


def test_without_a_budget_in_the_settings_none_is_asked_for(operate, cloud, monkeypatch):
    monkeypatch.setitem(EXAMPLE_FOUNDATION, "monthlyBudget", 0)
    cloud.save(budgets=False)
    assert operate("doctor")[0] == 0


def test_locks_and_a_missing_key_are_warnings(operate, cloud):
    home = "/subscriptions/s/resourceGroups/savanna-dev-foundation"
    lock = f"{home}/providers/Microsoft.Authorization/locks/keep"
    other = lock.replace("savanna-dev-foundation", "payroll")
    level = {"level": "CanNotDelete"}
    cloud.save(deployed=["foundation"], azure_locks=[{"id": lock, **level}, {"id": other, **level}])
    (cloud.folder / "home/.ssh/id_ed25519.pub").write_text("ssh-ed25519 AAAAother me")
    code, out, _ = operate("doctor")
    assert code == 0
    assert f"lock CanNotDelete keep on {home}" in out and "payroll" not in out
    assert "warning  no private key for sshPublicKey (SHA256:" in out


def test_a_half_built_clusters_own_machines_do_not_count_against_it(operate, cloud):
    # No outputs yet, but the head is there, and the quota is just enough for it.
    cloud.running(
        usage=[
            usage("cores", 8, 8),
            usage("lowPriorityCores", 100, 16),
            usage("Standard NCASv3_T4 Family", 8, 8),
        ]
    )
    cloud.state["outputs"]["cluster"] = {}
    cloud.save()
    code, out, _ = operate("doctor")
    assert code == 0 and "PROBLEM" not in out
    cloud.save(machines=[], groups=[])
    assert operate("doctor")[0] == 1


def test_the_hint_to_look_around_is_no_problem(operate, cloud, monkeypatch, tmp_path):
    from infra.plan import plan

    monkeypatch.setattr(
        "infra.operate.stack.read_given", lambda name: plan.read_given(name, root=tmp_path)
    )
    for folder in (tmp_path, tmp_path / "infra" / "foundation"):
        folder.mkdir(parents=True, exist_ok=True)
    for project in ("Pulumi.yaml", "infra/foundation/Pulumi.yaml"):
        (tmp_path / project).write_text((ROOT / project).read_text())
    code, out, _ = operate("doctor")
    assert code == 1
    assert out.count("PROBLEM") == 2 and "Pulumi.dev.yaml: no such file" in out
    assert "\nto try it without such a file: make plan ARGS=--example" in out
