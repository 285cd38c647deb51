"""The durable program as a whole: what it declares, how that is protected, and its outputs."""

import pytest
from example import foundation

from infra.components.foundation import Foundation


@pytest.fixture(scope="module")
def known():
    return foundation()


def test_a_first_preview_declares_what_an_update_makes(known):
    preview = foundation(preview=True)
    assert [r.urn for r in preview.resources] == [r.urn for r in known.resources]
    assert [r.options.protect for r in preview.resources] == [
        r.options.protect for r in known.resources
    ]


def test_what_holds_something_is_protected(known):
    protected = {r.type.split(":")[-1] for r in known.created() if r.options.protect}
    assert protected == {"ResourceGroup", "Registry", "StorageAccount", "BlobContainer", "Vault"}


def test_the_cluster_finds_every_output_that_it_reads(known):
    assert set(Foundation.__dataclass_fields__) <= set(known.outputs)
    assert all(known.outputs.values())


def test_outputs(known):
    outputs = known.outputs
    account = outputs["storage_account"]
    assert outputs["storage_uri"] == f"abfss://results@{account}.dfs.core.windows.net"
    assert outputs["results_container_id"].endswith(
        f"/storageAccounts/{account}/blobServices/default/containers/results"
    )
    assert outputs["resource_group"] == "savanna-test-foundation"
    assert not known.secret_outputs


def test_storage_opens_by_identity_alone_and_undeletes(known):
    account = known.one("StorageAccount").inputs
    assert account["allowSharedKeyAccess"] is False and account["allowBlobPublicAccess"] is False
    assert account["minimumTlsVersion"] == "TLS1_2" and account["enableHttpsTrafficOnly"] is True
    assert account["isHnsEnabled"] is True
    undelete = foundation(keepDays=30).one("BlobServiceProperties").inputs
    for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
        assert undelete[policy] == {"enabled": True, "days": 30}
    # Azure has no versions of blobs in accounts with folders.
    assert "isVersioningEnabled" not in undelete


def test_registry_and_vault_have_no_password(known):
    registry = known.one("azure-native:containerregistry:Registry").inputs
    assert registry["adminUserEnabled"] is False and registry["anonymousPullEnabled"] is False
    assert registry["sku"] == {"name": "Standard"}
    vault = known.one("azure-native:keyvault:Vault").inputs
    assert vault["properties"]["enableRbacAuthorization"] is True
    assert vault["properties"]["enableSoftDelete"] is True
    assert "accessPolicies" not in vault["properties"]
    # Azure refuses false, and true could never be undone.
    assert "enablePurgeProtection" not in vault["properties"]


def test_one_branch_may_push_images(known):
    credential = known.one("FederatedIdentityCredential").inputs
    assert credential["subject"] == "repo:example/savanna:ref:refs/heads/main"
    assert credential["issuer"] == "https://token.actions.githubusercontent.com"
    assert credential["audiences"] == ["api://AzureADTokenExchange"]
    grant = known.one("RoleAssignment").inputs
    assert grant["scope"] == known.outputs["registry_id"]
    assert grant["roleDefinitionId"].endswith("/8311e382-0749-4cb8-b61a-304f252e45ec")  # AcrPush


def test_without_a_repository_nobody_may_push():
    run = foundation(repository="")
    assert not run.of_type("UserAssignedIdentity") and not run.of_type("RoleAssignment")
    assert run.outputs["image_ci_client_id"] == ""


def test_the_budget_counts_all_that_carries_the_tag(known):
    budget = known.one("azure-native:consumption:Budget")
    assert budget.inputs["scope"].startswith("/subscriptions/")
    assert "resourceGroups" not in budget.inputs["scope"]
    tag = {"name": "savanna-project", "operator": "In", "values": ["savanna"]}
    assert budget.inputs["filter"] == {"tags": tag}
    assert known.one("ResourceGroup").inputs["tags"]["savanna-project"] == "savanna"
    alerts = {(a["thresholdType"], a["threshold"]) for a in budget.inputs["notifications"].values()}
    assert alerts == {("Actual", n) for n in (50, 80, 100)} | {("Forecasted", n) for n in (80, 100)}
    assert len(budget.inputs["notifications"]) <= 5  # as many as Azure allows
    assert budget.options.ignore_changes == ("timePeriod",)


def test_an_existing_registry_is_looked_up_and_nothing_more():
    theirs = (
        "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/hub/providers/"
        "Microsoft.ContainerRegistry/registries/theirs"
    )
    for preview in (False, True):
        run = foundation(registry=theirs, preview=preview)
        assert run.one("Registry", "registry-existing").read
        assert not [r for r in run.created() if r.type.endswith(":containerregistry:Registry")]
        assert run.outputs["registry_id"] == theirs
        assert run.outputs["registry_login_server"] == "theirs.azurecr.io"
        assert run.one("RoleAssignment").inputs["scope"] == theirs


def test_an_existing_group_is_used_and_not_declared():
    run = foundation(resourceGroup="theirs")
    assert not run.of_type("ResourceGroup")
    assert {r.inputs["resourceGroupName"] for r in run.created() if "scope" not in r.inputs} == {
        "theirs"
    }
    assert run.outputs["resource_group"] == "theirs"
