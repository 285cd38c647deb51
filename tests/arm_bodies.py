"""Check a program's requests against the types of Azure's own SDKs.

azure-native lifts every level of ARM's `properties` up; here it is put back where the SDK has it.
The SDKs use newer API versions than azure-native, so a field that azure-native does not know yet
would pass here; its own arguments refuse such fields with a TypeError.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, NamedTuple, Union, get_args, get_origin

import typing_extensions
from azure.mgmt.authorization.v2022_04_01 import models as authorization
from azure.mgmt.compute import models as compute_models
from azure.mgmt.compute import types as compute
from azure.mgmt.consumption import models as consumption_models
from azure.mgmt.consumption import types as consumption
from azure.mgmt.containerregistry import models as containerregistry
from azure.mgmt.keyvault import models as keyvault_models
from azure.mgmt.keyvault import types as keyvault
from azure.mgmt.msi import models as msi
from azure.mgmt.network import models as network_models
from azure.mgmt.network import types as network
from azure.mgmt.resource.resources import models as resources
from azure.mgmt.storage import models as storage_models
from azure.mgmt.storage import types as storage

from infra.plan.engine import SECRET, UNKNOWN, Resource
from infra.plan.fake_azure import PATHS

# The body of the request that creates each type.
BODIES: Mapping[str, type] = {
    "authorization:RoleAssignment": authorization.RoleAssignmentCreateParameters,
    "authorization:RoleDefinition": authorization.RoleDefinition,
    "compute:VirtualMachine": compute.VirtualMachine,
    "compute:VirtualMachineScaleSet": compute.VirtualMachineScaleSet,
    "consumption:Budget": consumption.Budget,
    "containerregistry:Registry": containerregistry.Registry,
    "keyvault:Secret": keyvault.SecretCreateOrUpdateParameters,
    "keyvault:Vault": keyvault.VaultCreateOrUpdateParameters,
    "managedidentity:FederatedIdentityCredential": msi.FederatedIdentityCredential,
    "managedidentity:UserAssignedIdentity": msi.Identity,
    "network:BastionHost": network.BastionHost,
    "network:NatGateway": network.NatGateway,
    "network:NetworkInterface": network.NetworkInterface,
    "network:NetworkSecurityGroup": network.NetworkSecurityGroup,
    "network:PublicIPAddress": network.PublicIPAddress,
    "network:Subnet": network.Subnet,
    "network:VirtualNetwork": network.VirtualNetwork,
    "resources:ResourceGroup": resources.ResourceGroup,
    "storage:BlobContainer": storage.BlobContainer,
    "storage:BlobServiceProperties": storage.BlobServiceProperties,
    "storage:StorageAccount": storage.StorageAccountCreateParameters,
}
# Names that differ in azure-native and ARM: the path in the body.
RENAMED = {
    "authorization:RoleDefinition": {"roleType": "properties.type"},
    "storage:StorageAccount": {"enableHttpsTrafficOnly": "properties.supportsHttpsTrafficOnly"},
}
# Enums that only list examples; infra/config/sizes.json knows the sizes.
OPEN = {"properties.hardwareProfile.vmSize"}
MODELS: Mapping[types.ModuleType, types.ModuleType] = {
    compute: compute_models,
    consumption: consumption_models,
    keyvault: keyvault_models,
    network: network_models,
    storage: storage_models,
}


class Field(NamedTuple):
    """One key of a body."""

    type: Any
    required: bool


def problems(resource: Resource) -> list[str]:
    """What ARM would not understand, one line each with its path in ARM's body."""
    short = resource.type.removeprefix("azure-native:")
    if short not in BODIES:
        return [f"{resource.type}: no ARM type to check it against"]
    in_path = {"resourceGroupName", "scope", *re.findall(r"{(\w+)}", PATHS.get(short, ""))}
    body: dict[str, Any] = {}
    for key, value in resource.inputs.items():
        *level, name = RENAMED.get(short, {}).get(key, key).split(".")
        if key not in in_path:
            (body.setdefault(level[0], {}) if level else body)[name] = value
    return [f"{resource.name}: {line}" for line in _check(body, BODIES[short], "")]


def _check(value: Any, type_: Any, path: str) -> Iterator[str]:
    if value in (UNKNOWN, SECRET) or type_ is Any or path in OPEN:
        return
    origin, arguments = get_origin(type_), get_args(type_)
    if origin in (Union, types.UnionType):
        yield from _check_union(value, arguments, path)
    elif origin in (list, dict):
        if path.endswith("userAssignedIdentities") and isinstance(value, list):
            value = {one: {} for one in value}  # azure-native takes a list and sends a map
        if not isinstance(value, origin):
            yield f"{path}: {value!r} is not a {origin.__name__}"
            return
        items = enumerate(value) if origin is list else value.items()
        for key, item in items:
            yield from _check(item, arguments[-1], f"{path}[{key}]")
    elif _fields(type_) is not None:
        yield from _check_body(value, type_, path)
    elif isinstance(type_, type) and issubclass(type_, Enum):
        known = [member.value for member in type_]
        if value not in known:
            yield f"{path}: {value!r} is not one of {', '.join(map(str, known))}"
    elif type_ is float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{path}: {value!r} is not a number"
    elif type_ in (bool, int, str) and type(value) is not type_:
        yield f"{path}: {value!r} is not of type {type_.__name__}"


def _check_union(value: Any, arguments: tuple[Any, ...], path: str) -> Iterator[str]:
    # `Union[str, "CachingTypes"]`: any text to Python, but ARM knows only the enum's.
    enums = [a for a in arguments if isinstance(a, type) and issubclass(a, Enum)]
    options = enums or [a for a in arguments if a is not type(None)]
    answers = [list(_check(value, option, path)) for option in options]
    if all(answers):
        yield from answers[0]


def _check_body(value: Any, type_: Any, path: str) -> Iterator[str]:
    fields = _fields(type_) or {}
    if not isinstance(value, dict):
        yield f"{path}: {value!r} is not a mapping"
        return
    here: dict[str, Any] = {}
    lifted: dict[str, Any] = {}
    below = (
        (_fields(_plain_type(fields["properties"].type)) or {}) if "properties" in fields else {}
    )
    for key, item in value.items():
        if key in fields:
            here[key] = item
        elif key in below:
            lifted[key] = item
        else:
            yield f"{path}.{key}: unknown key".lstrip(".")
    if lifted:
        here["properties"] = {**here.get("properties", {}), **lifted}
    for key, field in fields.items():
        if key in here:
            yield from _check(here[key], field.type, f"{path}.{key}".lstrip("."))
        elif field.required:
            yield f"{path}.{key}: required and missing".lstrip(".")


def _plain_type(type_: Any) -> Any:
    """`T` of `Optional[T]`."""
    options = [a for a in get_args(type_) if a is not type(None)]
    return options[0] if get_origin(type_) in (Union, types.UnionType) else type_


@cache
def _fields(type_: Any) -> dict[str, Field] | None:
    """The keys of a body type in any of the SDKs' three styles; None if it is not a body."""
    if typing_extensions.is_typeddict(type_):
        return dict(_typed_dict(type_))
    if isinstance(type_, _Nested):
        return type_.fields
    if hasattr(type_, "_attribute_map"):
        return _attribute_map(type_)
    if isinstance(type_, type) and any(
        base.__name__ == "_MyMutableMapping" for base in type_.mro()
    ):
        return dict(_rest_fields(type_))
    return None


def _typed_dict(type_: Any) -> Iterator[tuple[str, Field]]:
    module = __import__(type_.__module__, fromlist=["types"])
    names = {**vars(MODELS[module]), **vars(module), "models": MODELS[module]}
    hints = typing_extensions.get_type_hints(type_, globalns=names, include_extras=True)
    for key, hint in hints.items():
        required = get_origin(hint) is typing_extensions.Required
        yield key, Field(get_args(hint)[0] if required else hint, required)


def _rest_fields(type_: Any) -> Iterator[tuple[str, Field]]:
    package = __import__(type_.__module__.rpartition(".")[0], fromlist=["models"])
    module = __import__(type_.__module__, fromlist=["models"])
    names = {**vars(package), **vars(module), "_models": package}
    hints = typing_extensions.get_type_hints(type_, globalns=names)
    type_({})  # the first object completes the class
    for name, field in type_._attr_to_rest_field.items():
        optional = type(None) in get_args(hints[name])
        yield field._rest_name, Field(hints[name], not optional and field._visibility != ["read"])


class _Nested(NamedTuple):
    """A level of `properties` for which the oldest SDKs have no class."""

    name: str
    fields: dict[str, Field]

    def __hash__(self) -> int:
        return hash(self.name)


def _attribute_map(type_: Any) -> dict[str, Field]:
    package = __import__(type_.__module__.rpartition(".")[0], fromlist=["models"])
    names = {**vars(__import__(type_.__module__, fromlist=["models"])), "_models": package}
    # Enums are only in the constructor's hints.
    hints = typing_extensions.get_type_hints(type_.__init__, globalns=names)
    simple = {"str": str, "bool": bool, "int": int, "float": float, "object": Any}

    def read(text: str) -> Any:
        if text[0] == "[":
            return list[read(text[1:-1])]  # type: ignore[misc]
        if text[0] == "{":
            return dict[str, read(text[1:-1])]  # type: ignore[misc]
        return simple.get(text) or names.get(text) or Any

    fields: dict[str, Field] = {}
    nested: dict[str, Field] = {}
    for name, entry in type_._attribute_map.items():
        rule = type_._validation.get(name, {})
        of_key = hints[name] if entry["type"] == "str" and name in hints else read(entry["type"])
        field = Field(of_key, bool(rule.get("required")))
        level, _, key = entry["key"].rpartition(".")
        (nested if level else fields)[key] = field
    if nested:
        required = any(field.required for field in nested.values())
        fields["properties"] = Field(_Nested(f"{type_.__name__}.properties", nested), required)
    return fields
