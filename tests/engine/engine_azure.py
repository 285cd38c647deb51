"""A subscription in one JSON file: grants every wish, but for what Azure itself refuses.

The provider beside it serves it to Pulumi; tests look into it and change it between commands. Ids
and computed values are the project's own (`infra.plan.fake_azure`).
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from infra.plan.fake_azure import FakeAzure

WRITE_ONLY = ("customData", "adminPassword")
"""What Azure takes and never says again."""
WITH_ALL = ("resources:ResourceGroup", "keyvault:Vault", "containerregistry:Registry")
WITH_ALL = (*WITH_ALL, "storage:BlobContainer")
"""What is deleted together with what is in it."""
ALONE = "storage:BlobServiceProperties"
"""Its deletion only sets defaults."""
UNCHANGEABLE: Mapping[str, tuple[str, ...]] = {
    "compute:VirtualMachine": (
        "osProfile",
        "storageProfile.imageReference",
        "storageProfile.diskControllerType",
        "priority",
    ),
    "compute:VirtualMachineScaleSet": (
        "virtualMachineProfile.priority",
        "virtualMachineProfile.evictionPolicy",
        "virtualMachineProfile.osProfile.computerNamePrefix",
        "virtualMachineProfile.osProfile.adminUsername",
        "platformFaultDomainCount",
    ),
}
"""Properties that Azure refuses to change in place (`PropertyChangeNotAllowed`)."""


class Refused(Exception):
    """Azure's answer, as the provider passes it on."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"Code={code!r} Message={message!r}")


class Subscription:
    """ARM id -> {type, urn, inputs, state}, and ids under a lock."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.fake = FakeAzure()
        self._lock = threading.Lock()

    def everything(self) -> dict[str, dict[str, Any]]:
        """All resources."""
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def save(self, data: Mapping[str, Any]) -> None:
        """Replace all resources; a reader sees the old ones or the new ones."""
        whole = self.file.with_suffix(".new")
        whole.write_text(json.dumps(data, indent=1))
        whole.replace(self.file)

    def locks(self) -> list[str]:
        """Ids under which nothing may be deleted."""
        file = self.file.with_suffix(".locks")
        return file.read_text().split() if file.exists() else []

    def create(self, type_: str, urn: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The new resource's id and state; like the real provider, only if it is not there yet."""
        id_, state = self.fake.create(f"azure-native:{type_}", _name(urn), inputs, known=True)
        with self._lock:
            data = self.everything()
            if id_ in data:
                raise Refused("Conflict", f"cannot create already existing resource {id_!r}")
            data[id_] = {"type": type_, "urn": urn, "inputs": inputs, "state": state}
            self.save(data)
        return id_, answered(state)

    def read(self, id_: str) -> dict[str, Any] | None:
        """The resource as Azure shows it."""
        one = self.everything().get(id_)
        return one and {**one, "state": answered(one["state"])}

    def update(self, id_: str, urn: str, inputs: dict[str, Any]) -> dict[str, Any]:
        """The state after a change."""
        with self._lock:
            data = self.everything()
            if id_ not in data:
                raise Refused("ResourceNotFound", f"{id_} is not there")
            one = data[id_]
            self._check_change(id_, one, inputs, data)
            fresh = self.fake.create(f"azure-native:{one['type']}", _name(urn), inputs, known=True)
            state = {**one["state"], **fresh[1]}
            data[id_] = {**one, "inputs": inputs, "state": state}
            self.save(data)
        return answered(state)

    def delete(self, id_: str) -> None:
        """Remove it; no error if it is not there."""
        with self._lock:
            data = self.everything()
            if id_ in data:
                self._check_deletion(id_, data)
                alone = data[id_]["type"] == ALONE
                inside = [one for one in data if one.startswith(f"{id_}/") and not alone]
                for gone in (id_, *inside):
                    del data[gone]
                self.save(data)

    def _check_change(
        self, id_: str, one: Mapping[str, Any], inputs: dict[str, Any], data: Mapping[str, Any]
    ) -> None:
        before, after = dict(leaves(one["inputs"])), dict(leaves(inputs))
        changed = {p for p in {*before, *after} if before.get(p) != after.get(p)}
        for path in sorted(changed):
            if path.startswith(UNCHANGEABLE.get(one["type"], ("\0",))):
                raise Refused(
                    "PropertyChangeNotAllowed", f"Changing property '{path}' is not allowed"
                )
        if one["type"] == "network:Subnet" and any(p.startswith("addressPrefix") for p in changed):
            for other, there in data.items():
                if there["type"] == "network:NetworkInterface" and id_ in json.dumps(
                    there["inputs"]
                ):
                    raise Refused("InUsePrefixCannotBeDeleted", f"{id_} is in use by {other}")
        if one["type"] == "network:VirtualNetwork" and any("addressSpace" in p for p in changed):
            for other, there in data.items():
                if there["type"] == "network:Subnet" and other.startswith(f"{id_}/"):
                    raise Refused("NetcfgSubnetRangeOutsideVnet", f"{other} is not in the range")

    def _check_deletion(self, id_: str, data: Mapping[str, Any]) -> None:
        for lock in self.locks():
            if id_.startswith(lock) or lock.startswith(f"{id_}/"):
                raise Refused("ScopeLocked", f"{id_} cannot be deleted because {lock} is locked")
        type_ = data[id_]["type"]
        inside = [other for other in data if other.startswith(f"{id_}/")]
        if inside and type_ not in (*WITH_ALL, ALONE):
            raise Refused("CannotDeleteResource", f"{id_} still holds {inside[0]}")
        if type_.startswith("network:"):
            for other, there in data.items():
                uses = there["type"].startswith(("network:", "compute:"))
                # Whole words: .../subnets/head is no part of .../subnets/head-2.
                if other != id_ and uses and f'"{id_}"' in json.dumps(there["inputs"]):
                    code = "InUseSubnetCannotBeDeleted" if type_.endswith("Subnet") else None
                    raise Refused(code or "InUseResourceCannotBeDeleted", f"in use by {other}")
        if type_ == "authorization:RoleDefinition":
            name = id_.rsplit("/", 1)[1]
            for there in data.values():
                of = str(there["inputs"].get("roleDefinitionId", ""))
                if there["type"] == "authorization:RoleAssignment" and of.endswith(name):
                    raise Refused("RoleDefinitionHasAssignments", id_)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each plain value in it with its path, as `a.b[0].c`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, f"{path}[{index}]")
    else:
        yield path, value


def answered(state: Any) -> Any:
    """As Azure answers: without what is write-only."""
    if isinstance(state, dict):
        return {k: answered(v) for k, v in state.items() if k not in WRITE_ONLY}
    return [answered(v) for v in state] if isinstance(state, list) else state


def overlay(inputs: Any, state: Any) -> Any:
    """`inputs` with the values that `state` has otherwise, where both are plain values."""
    if isinstance(inputs, dict) and isinstance(state, dict):
        return {k: overlay(v, state[k]) if k in state else v for k, v in inputs.items()}
    if isinstance(inputs, list) and isinstance(state, list) and len(inputs) == len(state):
        return [overlay(a, b) for a, b in zip(inputs, state, strict=True)]
    if isinstance(inputs, dict | list) or isinstance(state, dict | list):
        return copy.deepcopy(inputs)
    return state


def _name(urn: str) -> str:
    return urn.split("::")[-1]
