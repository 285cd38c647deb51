"""`make up`: what runs in which order, and what happens when something fails."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure_cli import RUNNING, TOKEN, machine, ray_node

DIGEST = "savanna-cpu@sha256:" + "ab" * 32
GPU_DIGEST = "savanna-gpu@sha256:" + "ab" * 32


@pytest.fixture
def by_digest(settings, cloud):
    settings.update(dev=False, cpuImage=DIGEST, gpuImage=GPU_DIGEST)
    cloud.save(registry_images=[DIGEST, GPU_DIGEST])


def test_up_builds_foundation_then_cluster_under_the_policies_and_waits(
    operate_processes, cloud, by_digest
):
    code, out, err = operate_processes("up", "--yes")
    assert code == 0, err
    ups = cloud.calls("pulumi", "up")
    assert [call[1] for call in ups] == ["foundation", "cluster"]
    for call in ups:
        assert call[call.index("--policy-pack") + 1].endswith("infra/policies")
    assert not cloud.calls("make")
    assert "all 2 nodes have joined" in err
    assert "make tunnel" in err and "savanna submit" in err and "make down" in err
    # Nothing but results on stdout; no secret anywhere.
    assert out == ""
    assert TOKEN not in err and TOKEN not in cloud.everything()


def test_the_price_is_said_before_anything_is_made(operate, cloud, by_digest):
    code, _, err = operate("up")
    assert code == 2 and "set YES=1" in err and "per hour" in err
    assert not cloud.calls("pulumi", "up")


def test_images_that_have_no_digest_are_built_pushed_and_named_by_it(operate, cloud, settings):
    settings["expires"] = "2099-01-01T00:00Z"
    code, _, err = operate("up", "--yes")
    assert code == 0, err
    pushed = [call[2:] for call in cloud.calls("make")]
    assert pushed == [
        ["images", "FLAVOURS=cpu gpu"],
        ["image-push", "FLAVOURS=cpu gpu", "REGISTRY=images.azurecr.io"],
    ]
    sets = [call for call in cloud.calls("pulumi", "config", "set") if "Image" in call[4]]
    set_to = {call[4]: call[5] for call in sets}
    assert set_to == {
        "cpuImage": f"savanna-cpu@sha256:{'cd' * 32}",
        "gpuImage": f"savanna-gpu@sha256:{'cd' * 32}",
    }
    ups = [call[1] for call in cloud.calls("pulumi", "up")]
    assert ups == ["foundation", "cluster"]


def test_an_image_that_is_not_in_the_registry_stops_before_the_cluster(operate, cloud, by_digest):
    cloud.save(registry_images=[DIGEST])
    code, _, err = operate("up", "--yes")
    assert code == 1 and f"{GPU_DIGEST} is not in images.azurecr.io" in err
    assert "make images image-push FLAVOURS=gpu REGISTRY=images.azurecr.io" in err
    assert [call[1] for call in cloud.calls("pulumi", "up")] == ["foundation"]


def test_a_problem_of_the_doctor_stops_before_any_cost(operate, cloud, by_digest):
    cloud.save(usage=[])
    cloud.save(skus=[])
    code, _, err = operate("up", "--yes")
    assert code == 1 and "problems found: 2; nothing was changed" in err
    assert not cloud.calls("pulumi", "up")


def test_wrong_settings_stop_before_anything(operate, cloud, settings):
    settings.update(headSize="Standard_NC6", owner="")
    code, _, err = operate("up", "--yes")
    assert code == 2 and "Standard_NC6" in err and "owner" in err
    assert not cloud.calls("pulumi", "up")


def test_a_deployment_that_fails_says_so(operate, cloud, by_digest):
    cloud.save(up_fails="cluster")
    code, _, err = operate("up", "--yes")
    assert code == 1 and "SkuNotAvailable: no capacity" in err
    assert "`pulumi up --stack dev" in err and "Traceback" not in err
    assert "what was created so far exists and may cost money: make status, make down" in err
    # Nothing else is retried.
    assert len([call for call in cloud.calls("pulumi", "up") if call[1] == "cluster"]) == 1


def test_a_node_that_does_not_join_is_named(operate, cloud, by_digest):
    late = machine("savanna-dev-cpu_1", "Standard_D16as_v6", "10.0.0.132", priority="Spot")
    cloud.save(
        when_up={
            **RUNNING,
            "machines": [RUNNING["machines"][0], late],
            "ray_nodes": [ray_node("10.0.0.4", head=True), ray_node("10.0.0.132", state="DEAD")],
        }
    )
    code, _, err = operate("up", "--yes", "--minutes", "0.02")
    assert code == 1
    assert "1 of 2 nodes have joined; missing: savanna-dev-cpu_1 10.0.0.132 (VM running)" in err
    # Ready to be entered, with the machine's name.
    log = "get-boot-log --resource-group savanna-dev --name savanna-dev-cpu_1\n"
    assert log in err and "NAME" not in err and "make down" in err


@pytest.mark.parametrize("made", [0, 1])
def test_machines_that_azure_has_not_made_are_missing_too(operate, cloud, by_digest, made):
    cloud.save(
        when_up={
            **RUNNING,
            "machines": RUNNING["machines"][:made],
            "ray_nodes": RUNNING["ray_nodes"][:made],
        }
    )
    code, _, err = operate("up", "--yes", "--minutes", "0.01")
    said = f"{made} of 2 nodes have joined; missing: machines that Azure has not"
    assert code == 1 and said in err


SECRET, RESULTS = (
    "/subscriptions/s/vaults/v/secrets/ray-token-dev",
    "/subscriptions/s/containers/results",
)


@pytest.mark.parametrize(
    ("user", "roles", "given"),
    [
        # An Owner may grant permissions on data, but has none.
        ({"name": "me", "type": "user"}, ["Owner"], {SECRET: "User", RESULTS: "User"}),
        (
            {"name": "app", "type": "servicePrincipal"},
            [],
            {SECRET: "ServicePrincipal", RESULTS: "ServicePrincipal"},
        ),
        ({"name": "me", "type": "user"}, ["Key Vault Secrets Officer"], {RESULTS: "User"}),
        ({"name": "me", "type": "user"}, ["Key Vault Secrets User", "Storage Blob Data Owner"], {}),
    ],
)
def test_who_builds_a_cluster_may_read_its_token_and_its_results(
    operate, cloud, by_digest, user, roles, given
):
    cloud.save(account={**cloud.state["account"], "user": user}, roles=roles)
    assert operate("up", "--yes")[0] == 0
    made = cloud.calls("az", "role", "assignment", "create")

    def said(call: list, name: str) -> str:
        return call[call.index(name) + 1]

    assert {said(c, "--scope"): said(c, "--assignee-principal-type") for c in made} == given
    for call in made:
        assert said(call, "--assignee-object-id") == f"object-of-{user['name']}"
    # Identities in CI may not ask Entra about themselves.
    assert not cloud.calls("az", "ad")


def test_a_permission_that_does_not_count_yet_is_waited_for(operate, cloud, by_digest):
    cloud.save(vault_lags=4)
    code, _, err = operate("up", "--yes")
    assert code == 0, err


@pytest.mark.parametrize("state", ["VM deallocated", "VM stopped"])
def test_up_starts_what_has_stopped_itself(operate, cloud, by_digest, state):
    machines = [{**one, "powerState": state} for one in RUNNING["machines"]]
    cloud.running(machines=machines, when_up={})
    code, _, err = operate("up", "--yes", "--minutes", "0.5")
    assert code == 0, err
    assert "starting savanna-dev-head, savanna-dev-cpu_1" in err
    [start] = cloud.calls("az", "vm", "start")
    assert set(start) >= {one["id"] for one in machines}


def test_up_over_a_running_cluster_counts_no_quota_twice(operate, cloud, by_digest):
    cloud.running(usage=[{**one, "currentValue": one["limit"]} for one in cloud.state["usage"]])
    assert operate("up", "--yes")[0] == 0


def test_the_foundation_alone(operate, cloud, by_digest):
    code, out, _ = operate("foundation", "--yes")
    assert code == 0 and json.loads(out)["registry_login_server"] == "images.azurecr.io"
    assert [call[1] for call in cloud.calls("pulumi", "up")] == ["foundation"]


def test_a_foundation_of_its_own_name_is_shared_and_left_alone(operate, cloud, by_digest, settings):
    settings["foundation"] = "shared"
    cloud.save(deployed=["foundation"])
    code, _, err = operate("up", "--yes")
    assert code == 0 and "using the foundation shared as it is" in err
    assert [call[1] for call in cloud.calls("pulumi", "up")] == ["cluster"]
    asked = [call for call in cloud.calls("pulumi", "stack", "output") if call[1] == "foundation"]
    assert {call[call.index("--stack") + 1] for call in asked} == {"shared"}


def test_a_shared_foundation_that_is_not_there_yet_is_built_under_its_name(
    operate, cloud, by_digest, settings
):
    settings["foundation"] = "organization/savanna-foundation/shared"
    assert operate("up", "--yes")[0] == 0
    ups = {call[1]: call[call.index("--stack") + 1] for call in cloud.calls("pulumi", "up")}
    # With its organisation: without it, Pulumi takes the one of whoever is logged in.
    reference = "organization/savanna-foundation/shared"
    assert ups == {"foundation": reference, "cluster": "dev"}
    asked = [call for call in cloud.calls("pulumi", "stack") if call[1] == "foundation"]
    assert asked and all(reference in call for call in asked)


def test_preview_asks_pulumi_for_both_as_up_would(operate, cloud, by_digest):
    cloud.save(deployed=["foundation"])
    code, _, err = operate("preview")
    assert code == 0, err
    previews = cloud.calls("pulumi", "preview")
    assert [call[1] for call in previews] == ["foundation", "cluster"]
    for call in previews:
        assert call[call.index("--policy-pack") + 1].endswith("infra/policies")


def test_preview_before_there_is_a_foundation_says_what_is_missing(operate, cloud, by_digest):
    code, _, err = operate("preview")
    assert code == 0, err
    assert [call[1] for call in cloud.calls("pulumi", "preview")] == ["foundation"]
    assert "the cluster needs the foundation's outputs: run make foundation" in err


def test_pulumi_looks_at_the_cluster_before_it_changes_it(operate, cloud, by_digest):
    # Or a pool would be reset to the number of machines that Pulumi remembers.
    operate("up", "--yes")
    assert {call[1]: "--refresh" in call for call in cloud.calls("pulumi", "up")} == {
        "foundation": False,
        "cluster": True,
    }


def expiry(cloud) -> list[str]:
    sets = cloud.calls("pulumi", "config", "set")
    return [call[5] for call in sets if call[4] == "expires"]


def test_the_first_up_fixes_when_the_cluster_expires(operate, cloud, by_digest, settings):
    assert operate("up", "--yes")[0] == 0
    [time] = expiry(cloud)
    left = datetime.fromisoformat(time) - datetime.now(UTC)
    assert timedelta(hours=71) < left <= timedelta(hours=72)
    settings["expires"] = time
    assert operate("up", "--yes")[0] == 0
    assert expiry(cloud) == [time]
    settings["lifetimeHours"] = 200
    assert operate("up", "--yes", "--extend")[0] == 0
    assert expiry(cloud)[1] > time


def test_a_cluster_that_has_expired_is_not_updated_but_extended_or_destroyed(
    operate, cloud, by_digest, settings
):
    cloud.running()
    settings["expires"] = "2020-01-01T00:00Z"
    code, _, err = operate("up", "--yes")
    assert code == 2 and "expired at 2020-01-01T00:00Z" in err and "ARGS=--extend" in err
    assert not cloud.calls("pulumi", "up")
    assert operate("up", "--yes", "--extend")[0] == 0 and len(expiry(cloud)) == 1
    assert operate("status")[0] == 0
    assert operate("down", "--yes")[0] == 0
    # A new cluster does not start expired.
    assert operate("up", "--yes")[0] == 0 and len(expiry(cloud)) == 2


HEAD_STEP = {
    "op": "replace",
    "urn": "urn:pulumi:dev::savanna::savanna:infra:Head$azure-native:compute:VirtualMachine"
    "::head-machine",
}


def test_a_head_that_runs_is_not_replaced_without_a_word_and_takes_its_leave(
    operate, cloud, by_digest
):
    cloud.running(preview_steps=[HEAD_STEP])
    code, _, err = operate("up", "--yes")
    assert code == 0, err
    assert "a checkpoint" in err
    made = cloud.everything().splitlines()
    [leave] = [i for i, call in enumerate(made) if "agent stop" in call]
    [deploy] = [i for i, call in enumerate(made) if '["pulumi", "cluster", "up"' in call]
    [look] = [i for i, call in enumerate(made) if '"preview", "--json"' in call]
    assert look < leave < deploy


@pytest.mark.parametrize(("answers", "goes_on"), [(["y", "n"], False), (["y", "y"], True)])
def test_whether_machines_are_replaced_is_asked(
    operate, cloud, by_digest, monkeypatch, answers, goes_on
):
    pool = "savanna:infra:Pool$azure-native:compute/v20250401:VirtualMachineScaleSet::cpu-set"
    step = {"op": "create-replacement", "urn": f"urn:pulumi:dev::savanna::{pool}"}
    cloud.running(preview_steps=[step])
    left = list(answers)
    terminal = {"isatty": lambda _: True, "readline": lambda _: left.pop(0) + "\n"}
    monkeypatch.setattr("sys.stdin", type("Terminal", (), terminal)())
    code, _, err = operate("up")
    assert "this replaces cpu-set" in err and not left
    assert code == (0 if goes_on else 1)
    ups = [call[1] for call in cloud.calls("pulumi", "up")]
    assert ("cluster" in ups) == goes_on
    # Its workers drain; the head, which stays, goes on.
    drained = [call for call in cloud.calls("az", "vm", "run-command") if "agent stop" in str(call)]
    assert bool(drained) == goes_on and not cloud.calls("ssh", "agent")
    assert not any("agent stop" in call[-1] for call in cloud.calls("ssh"))
    assert cloud.read()["removed_running"] == []


def test_what_is_only_updated_is_not_asked_about(operate, cloud, by_digest):
    update = {**HEAD_STEP, "op": "update"}
    kind = "azure-native:authorization:RoleAssignment"
    address = {"op": "replace", "urn": f"urn:pulumi:dev::savanna::a${kind}::s"}
    cloud.running(preview_steps=[update, address])
    assert operate("up", "--yes")[0] == 0


def test_a_stopped_head_is_not_replaced_unasked_and_takes_no_leave(
    operate, cloud, by_digest, monkeypatch
):
    stopped = [{**one, "powerState": "VM deallocated"} for one in RUNNING["machines"]]
    cloud.running(preview_steps=[HEAD_STEP], machines=stopped)
    answers = ["y", "n"]
    terminal = {"isatty": lambda _: True, "readline": lambda _: answers.pop(0) + "\n"}
    monkeypatch.setattr("sys.stdin", type("Terminal", (), terminal)())
    code, _, err = operate("up")
    assert code == 1 and "this replaces head-machine; data that is only there is lost" in err
    assert operate("up", "--yes")[0] == 0
    assert not any("agent stop" in call[-1] for call in cloud.calls("ssh"))


@pytest.mark.parametrize("code_of_azure", ["RoleDefinitionDoesNotExist", "PrincipalNotFound"])
def test_a_role_that_azure_does_not_know_yet_is_waited_for_once(
    operate, cloud, by_digest, code_of_azure
):
    cloud.save(up_lags=[code_of_azure])
    code, _, err = operate("up", "--yes")
    assert code == 0 and "Azure does not find what it has just created" in err
    assert [c[1] for c in cloud.calls("pulumi", "up")] == ["foundation", "cluster", "cluster"]
    cloud.save(up_lags=[code_of_azure] * 2, deployed=[])
    assert operate("up", "--yes")[0] == 1


def test_images_are_all_pushed_before_a_setting_is_changed(operate, cloud):
    cloud.save(push_fails=True)
    assert operate("up", "--yes")[0] == 1
    assert not [call for call in cloud.calls("pulumi", "config", "set") if "Image" in call[4]]


def test_what_images_need_is_looked_for_before_anything_is_made(operate, cloud):
    cloud.lacks("clean.sh", "")
    code, _, err = operate("up", "--yes")
    assert code == 1 and "uncommitted changes" in err
    assert not cloud.calls("pulumi", "up")


def test_waiting_leaves_no_trace_of_its_tunnels(operate, cloud, by_digest):
    operate("up", "--yes")
    assert not Path(".savanna/cluster.json").exists()
    assert Path(".savanna/savanna-dev.token").stat().st_mode & 0o777 == 0o600


def test_a_key_that_the_head_refuses_is_not_waited_for(operate, cloud, by_digest):
    cloud.save(key_refused=True)
    code, _, err = operate("up", "--yes", "--minutes", "5")
    assert code == 1 and "the head refuses your SSH key" in err and "(SHA256:" in err
    # SSH offers only this key, and is given it.
    call = cloud.calls("ssh")[0]
    assert "IdentitiesOnly=yes" in call and call[call.index("-i") + 1].endswith(".ssh/id_ed25519")


@pytest.mark.parametrize("times", [2, 9])
def test_a_head_for_which_there_is_no_room_is_tried_again(operate, cloud, by_digest, times):
    machines = [{**one, "powerState": "VM deallocated"} for one in RUNNING["machines"]]
    cloud.running(machines=machines, when_up={}, no_room=times)
    code, _, err = operate("up", "--yes", "--minutes", "0.5")
    assert "no room for savanna-dev-head, savanna-dev-cpu_1 now (AllocationFailed)" in err
    assert code == (0 if times == 2 else 1), err
    if times > 2:
        assert "headSize: Standard_NC16as_T4_v3, $" in err and "per hour instead of $" in err
        assert "another location" in err and "--resume RUN" in err
