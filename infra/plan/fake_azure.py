"""What Azure would answer when a resource is made: its ARM id and the values that only it knows.

The stand-in for the provider when programs run without an account.
"""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks
from pulumi.runtime.rpc import UNKNOWN

# The path under `/providers/Microsoft.` of each type; inputs name its parts.
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
    """One subscription in which every wish is granted at once."""

    def __init__(
        self,
        subscription: str = "00000000-0000-0000-0000-00000000abcd",
        tenant: str = "00000000-0000-0000-0000-00000000ef01",
    ) -> None:
        self.subscription = subscription
        self.tenant = tenant

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        """Answer a function of the provider; `NotImplementedError` for one that is not known."""
        if args.token == "azure-native:authorization:getClientConfig":
            config = {"subscriptionId": self.subscription, "tenantId": self.tenant}
            return {**config, "clientId": _guid("client"), "objectId": _guid("object")}, []
        raise NotImplementedError(f"the stand-in for Azure does not know {args.token}")

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """As Pulumi's own mock monitor calls it."""
        return self.create(args.typ, args.name, args.inputs, known=True)

    def create(
        self, type_: str, name: str, inputs: dict[str, Any], *, known: bool
    ) -> tuple[str, dict[str, Any]]:
        """The id and state of a resource; not `known`: as a preview sees it, without both."""
        state = dict(inputs)
        identity = state.get("identity")
        if identity and identity.get("userAssignedIdentities"):
            # A list when it is asked for, a map when it is answered.
            ids = identity["userAssignedIdentities"]
            state["identity"] = {**identity, "userAssignedIdentities": {str(i): {} for i in ids}}
        if not known:
            if type_.endswith(":Vault"):
                state["properties"] = {**state["properties"], "vaultUri": UNKNOWN}
            return "", state
        id_ = self._id(type_, name, inputs)
        state["name"] = id_.rsplit("/", 1)[1]
        return id_, {**state, **self._computed(type_, id_, state)}

    def read(self, type_: str, id_: str) -> dict[str, Any]:
        """The state of a resource that exists already."""
        state = {"name": id_.rsplit("/", 1)[1]}
        return {**state, **self._computed(type_, id_, state)}

    def _id(self, type_: str, name: str, inputs: dict[str, Any]) -> str:
        short = type_.removeprefix("azure-native:")
        subscription = f"/subscriptions/{self.subscription}"
        if short == "resources:ResourceGroup":
            return f"{subscription}/resourceGroups/{inputs['resourceGroupName']}"
        if short not in PATHS:
            raise NotImplementedError(f"the stand-in for Azure does not know the type {type_}")
        scope = (
            inputs.get("scope") or f"{subscription}/resourceGroups/{inputs['resourceGroupName']}"
        )
        # What is not named gets the logical name and eight random characters.
        given = _Names(inputs, f"{name}{_guid(type_ + name)[:8]}")
        path = PATHS[short].format_map(given)
        return f"{scope}/providers/Microsoft.{path}"

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
            case "network:PublicIPAddress":
                return {"ipAddress": "203.0.113.10"}
        return {}


class _Names(dict[str, Any]):
    def __init__(self, inputs: dict[str, Any], fallback: str) -> None:
        super().__init__(inputs)
        self.fallback = fallback

    def __missing__(self, key: str) -> str:
        return self.fallback


def _guid(text: str) -> str:
    return str(uuid5(NAMESPACE_URL, text))
