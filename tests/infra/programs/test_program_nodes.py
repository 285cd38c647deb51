"""What the cluster's program tells its nodes, their permissions, and their shared token."""

import base64
import secrets

import pytest
from azure_settings import DIGEST
from example import cluster, foundation_outputs

from infra.plan.engine import SECRET

# Failed runs leave outputs that nobody awaits.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'Output")


def user_data(run, name: str) -> str:
    """The cloud-init of a machine or scale set."""
    inputs = next(r for r in run.created() if r.name == name).inputs
    profile = inputs.get("virtualMachineProfile", inputs)
    return base64.b64decode(profile["osProfile"]["customData"], validate=True).decode()


@pytest.fixture(scope="module")
def known():
    return cluster()


def test_nodes_are_told_their_part(known):
    outputs = foundation_outputs()
    head, cpu, steady = (user_data(known, n) for n in ("head-machine", "cpu-set", "steady-set"))
    server = outputs["registry_login_server"]
    assert f"IMAGE={server}/savanna-gpu{DIGEST}\n" in head
    assert f"IMAGE={server}/savanna-cpu{DIGEST}\n" in cpu
    for text, role, type_, gpus, market in (
        (head, "head", "head", 1, "on-demand"),
        (cpu, "worker", "cpu", 0, "spot"),
        (steady, "worker", "steady", 0, "on-demand"),
    ):
        assert f" ROLE={role}\n" in text and f"NODE_TYPE={type_}\n" in text
        assert f"GPUS={gpus}\n" in text and f"MARKET_TYPE={market}\n" in text
        assert "HEAD_ADDRESS=10.0.0.4\n" in text
        assert f" STORAGE={outputs['storage_uri']}/test\n" in text
        assert f"TOKEN_SECRET={known.outputs['ray_token_uri']}\n" in text
    ids = {
        role: known.one("UserAssignedIdentity", f"{role}-identity-user")
        for role in ("head", "worker")
    }
    assert ids["head"].urn in known.one("VirtualMachine").options.property_dependencies["osProfile"]
    assert (
        ids["worker"].urn
        in known.one("VirtualMachineScaleSet", "cpu-set").options.property_dependencies[
            "virtualMachineProfile"
        ]
    )


def test_a_head_without_gpu_runs_the_cpu_image():
    run = cluster(headSize="Standard_D8as_v6")
    assert "savanna-cpu@" in user_data(run, "head-machine")
    assert "GPUS=0\n" in user_data(run, "head-machine")
    machine = run.one("VirtualMachine").inputs
    assert machine["storageProfile"]["imageReference"]["publisher"] == "Canonical"


def test_an_image_of_a_registry_that_nodes_may_not_pull_from_is_refused():
    with pytest.raises(ValueError, match=r"image in other\.azurecr\.io.*push it there"):
        cluster(cpuImage=f"other.azurecr.io/savanna-cpu{DIGEST}")


# Rights and secrets


def test_nodes_may_do_four_things(known):
    outputs = foundation_outputs()
    group = known.one("ResourceGroup")
    stop = known.one("RoleDefinition")
    token = known.outputs["ray_token_uri"].rsplit("/", 1)[1]
    for role in ("head", "worker"):
        identity = known.one("UserAssignedIdentity", f"{role}-identity-user")
        grants = [
            r
            for r in known.of_type("RoleAssignment")
            if identity.urn in r.options.property_dependencies["principalId"]
        ]
        allowed = {
            (g.inputs["roleDefinitionId"].rsplit("/", 1)[1], g.inputs["scope"]) for g in grants
        }
        assert allowed == {
            ("7f951dda-4ed3-4680-a7ca-43fe172d538d", outputs["registry_id"]),  # AcrPull
            # Storage Blob Data Contributor
            ("ba92f5b4-2d11-453d-a403-e96b0029c9fe", outputs["results_container_id"]),
            # Key Vault Secrets User
            ("4633458b-17de-408a-b874-0445c86b69e6", f"{outputs['vault_id']}/secrets/{token}"),
            (stop.inputs["roleDefinitionId"], stop.inputs["scope"]),
        }
        assert all(g.inputs["principalType"] == "ServicePrincipal" for g in grants)
        assert len({g.inputs["roleAssignmentName"] for g in grants}) == 4
    assert stop.options.property_dependencies["scope"] == {group.urn}
    assert stop.inputs["roleName"] == "savanna node stop (savanna-test, 00000000)"
    assert stop.inputs["assignableScopes"] == [stop.inputs["scope"]]
    assert stop.inputs["permissions"] == [
        {
            "actions": [
                "Microsoft.Compute/virtualMachines/read",
                "Microsoft.Compute/virtualMachines/deallocate/action",
            ],
            "notActions": [],
        }
    ]


def test_names_of_role_assignments_follow_from_what_they_grant(known):
    names = [r.inputs["roleAssignmentName"] for r in known.of_type("RoleAssignment")]
    again = [r.inputs["roleAssignmentName"] for r in cluster(fresh=True).of_type("RoleAssignment")]
    other = [r.inputs["roleAssignmentName"] for r in cluster(name="else").of_type("RoleAssignment")]
    assert names == again and not set(names) & set(other)
    assert len(set(names)) == len(names)


def test_the_token_is_made_once_and_never_seen(monkeypatch):
    monkeypatch.setattr(secrets, "token_hex", lambda size: "cafe" * (size // 2))
    for preview in (False, True):
        run = cluster(preview=preview, fresh=True)
        token = run.one("Secret")
        assert token.inputs["properties"]["value"] == SECRET
        assert token.secrets == {"properties.value"}
        assert token.options.ignore_changes == ("properties.value",)
        assert token.options.retain_on_delete
        # It stays, so the next cluster of this name needs another name for it.
        assert "secretName" not in token.inputs
        texts = [repr(run)]
        if not preview:
            texts += [user_data(run, n) for n in ("head-machine", "cpu-set", "steady-set")]
        assert not any("cafecafe" in text for text in texts)
        assert not run.secret_outputs


def test_two_clusters_draw_two_tokens(monkeypatch):
    drawn = []
    monkeypatch.setattr(secrets, "token_hex", lambda size: drawn.append(size) or "00" * size)
    cluster(fresh=True)
    assert drawn == [32]
