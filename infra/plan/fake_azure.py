"""Azure's answers when a resource is created: its ARM id and computed values.

This stands in for the provider when programs run without an account.
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks
from pulumi.runtime.rpc import UNKNOWN

# Each type's path under `/providers/Microsoft.`; inputs fill in its parts.
PATHS: dict[str, str] = {
    "network:VirtualNetwork": "Network/virtualNetworks/{virtualNetworkName}",
    "network:Subnet": "Network/virtualNetworks/{virtualNetworkName}/subnets/{subnetName}",
    "network:NetworkSecurityGroup": "Network/networkSecurityGroups/{networkSecurityGroupName}",
    "network:NatGateway": "Network/natGateways/{natGatewayName}",
    "network:PublicIPAddress": "Network/publicIPAddresses/{publicIpAddressName}",
    "network:BastionHost": "Network/bastionHosts/{bastionHostName}",
    "network:NetworkInterface": "Network/networkInterfaces/{networkInterfaceName}",
    "compute:VirtualMachine": "Compute/virtualMachines/{vmName}",
    "compute:VirtualMachineScaleSet": "Compute/virtualMachineScaleSets/{vmScaleSetName}",
    "managedidentity:UserAssignedIdentity": "ManagedIdentity/userAssignedIdentities/{resourceName}",
    "managedidentity:FederatedIdentityCredential": (
        "ManagedIdentity/userAssignedIdentities/{resourceName}/federatedIdentityCredentials/{federatedIdentityCredentialResourceName}"
    ),
    "keyvault:Vault": "KeyVault/vaults/{vaultName}",
    "keyvault:Secret": "KeyVault/vaults/{vaultName}/secrets/{secretName}",
    "storage:StorageAccount": "Storage/storageAccounts/{accountName}",
    "storage:BlobServiceProperties": (
        "Storage/storageAccounts/{accountName}/blobServices/{blobServicesName}"
    ),
    "storage:BlobContainer": (
        "Storage/storageAccounts/{accountName}/blobServices/default/containers/{containerName}"
    ),
    "containerregistry:Registry": "ContainerRegistry/registries/{registryName}",
    "authorization:RoleAssignment": "Authorization/roleAssignments/{roleAssignmentName}",
    "authorization:RoleDefinition": "Authorization/roleDefinitions/{roleDefinitionId}",
    "consumption:Budget": "Consumption/budgets/{budgetName}",
}


class FakeAzure(Mocks):
    """One subscription in which every request succeeds immediately."""

    def __init__(
        self,
        subscription: str = "00000000-0000-0000-0000-00000000abcd",
        tenant: str = "00000000-0000-0000-0000-00000000ef01",
    ) -> None:
        self.subscription = subscription
        self.tenant = tenant

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        """Answer a function of the provider; `NotImplementedError` if it is unknown."""
        if args.token == "azure-native:authorization:getClientConfig":
            config = {"subscriptionId": self.subscription, "tenantId": self.tenant}
            return {**config, "clientId": _guid("client"), "objectId": _guid("object")}, []
        raise NotImplementedError(f"the stand-in for Azure does not know {args.token}")

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Called by Pulumi's own mock monitor."""
        return self.create(args.typ, args.name, args.inputs, known=True)

    def create(
        self, type_: str, name: str, inputs: dict[str, Any], *, known: bool
    ) -> tuple[str, dict[str, Any]]:
        """The id and state of a resource; not `known`, as in a preview, means without both."""
        state = dict(inputs)
        identity = state.get("identity")
        if identity and identity.get("userAssignedIdentities"):
            # A list in the request, a map in the answer.
            ids = identity["userAssignedIdentities"]
            state["identity"] = {**identity, "userAssignedIdentities": {str(i): {} for i in ids}}
        if not known:
            if type_.endswith(":Vault"):
                state["properties"] = {**state["properties"], "vaultUri": UNKNOWN}
            return "", state
        id_ = arm_id(self.subscription, type_, name, inputs)
        state["name"] = id_.rsplit("/", 1)[1]
        return id_, {**state, **self._computed(type_, id_, state)}

    def read(self, type_: str, id_: str) -> dict[str, Any]:
        """The state of an existing resource."""
        state = {"name": id_.rsplit("/", 1)[1]}
        return {**state, **self._computed(type_, id_, state)}

    def _computed(self, type_: str, id_: str, state: dict[str, Any]) -> dict[str, Any]:
        name = state["name"]
        match type_.removeprefix("azure-native:"):
            case "managedidentity:UserAssignedIdentity":
                return {
                    "principalId": _guid(id_ + "/principal"),
                    "clientId": _guid(id_ + "/client"),
                    "tenantId": self.tenant,
                }
            case "containerregistry:Registry":
                return {"loginServer": f"{name.lower()}.azurecr.io"}
            case "keyvault:Vault":
                properties = state.get("properties", {})
                uri = f"https://{name}.vault.azure.net/"
                return {"properties": {**properties, "vaultUri": uri}}
            case "compute:VirtualMachine":
                return {"vmId": _guid(id_)}
            case "network:PublicIPAddress":
                return {"ipAddress": "203.0.113.10"}
        return {}


def arm_id(subscription: str, type_: str, name: str, inputs: dict[str, Any]) -> str:
    """The id that Azure gives a resource of a program. `name`: its logical name."""
    short = type_.removeprefix("azure-native:")
    within = f"/subscriptions/{subscription}"
    if short == "resources:ResourceGroup":
        return f"{within}/resourceGroups/{inputs['resourceGroupName']}"
    if short not in PATHS:
        raise NotImplementedError(f"the stand-in for Azure does not know the type {type_}")
    scope = inputs.get("scope") or f"{within}/resourceGroups/{inputs['resourceGroupName']}"
    # Unnamed resources get the logical name and eight random characters.
    given = _Names(inputs, f"{name}{_guid(type_ + name)[:8]}")
    return f"{scope}/providers/Microsoft.{PATHS[short].format_map(given)}"


class _Names(dict[str, Any]):
    def __init__(self, inputs: dict[str, Any], fallback: str) -> None:
        super().__init__(inputs)
        self.fallback = fallback

    def __missing__(self, key: str) -> str:
        return self.fallback


def _guid(text: str) -> str:
    return str(uuid5(NAMESPACE_URL, text))
