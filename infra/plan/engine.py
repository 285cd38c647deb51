"""Run one of the Pulumi programs under Pulumi's mock engine and record what it registers.

Pulumi's own mocks show types, names and inputs. The monitor here also records what decides whether
a deployment is safe: options, parents, dependencies, secrets.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import gc
import logging
import runpy
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
from google.protobuf import empty_pb2
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from pulumi.runtime import mocks, rpc, settings, stack
from pulumi.runtime.proto import resource_pb2

from infra.plan.fake_azure import FakeAzure

UNKNOWN = "(known after up)"
SECRET = "(secret)"

STACK_TYPE = "pulumi:pulumi:Stack"
REFERENCE_TYPE = "pulumi:pulumi:StackReference"


@dataclass(frozen=True)
class Options:
    """A resource's options as the engine receives them; URNs name other resources."""

    protect: bool = False
    retain_on_delete: bool = False
    delete_before_replace: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    custom_timeouts: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    provider: str = ""
    parent: str = ""
    dependencies: frozenset[str] = frozenset()  # both declared and through inputs
    property_dependencies: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Resource:
    """One registration: what the program requests from the engine."""

    type: str  # "azure-native:network:Subnet"
    name: str  # the logical name
    urn: str
    custom: bool  # False: a component, which groups others and does not exist in Azure
    read: bool  # True: it exists and is only looked up
    inputs: dict[str, Any]  # UNKNOWN and SECRET replace values that cannot be shown
    secrets: frozenset[str]  # paths of secret inputs, "properties.value"
    options: Options


@dataclass(frozen=True)
class Run:
    """What one run of a program registered, sorted by URN, and its exports."""

    project: str
    stack: str
    preview: bool
    resources: tuple[Resource, ...]
    outputs: dict[str, Any]
    secret_outputs: frozenset[str]

    def of_type(self, type_: str) -> list[Resource]:
        """All resources of a type; `Subnet` means that of any module."""
        return [r for r in self.resources if r.type == type_ or r.type.split(":")[-1] == type_]

    def one(self, type_: str, name: str = "") -> Resource:
        """The only resource of a type (and name), or `LookupError`."""
        found = [r for r in self.of_type(type_) if not name or r.name == name]
        if len(found) != 1:
            raise LookupError(f"{len(found)} resources {type_} {name}, expected one")
        return found[0]

    def created(self) -> list[Resource]:
        """What would exist in Azure because of this program."""
        return [r for r in self.resources if r.custom and not r.read]


def run(
    program: Path,
    project: str,
    stack_name: str,
    config: Mapping[str, str],
    *,
    preview: bool = False,
    references: Mapping[str, Mapping[str, Any]] | None = None,
    azure: FakeAzure | None = None,
) -> Run:
    """Run `program` (a folder with `__main__.py`) and record it; no process, no network.

    Args:
        config: settings without the project's prefix; structured ones as JSON text.
        preview: run like the first preview, in which nothing exists and outputs are unknown.
            Otherwise everything has been created, and outputs have values.
        references: outputs of the stacks that the program refers to, by full name.
        azure: Azure's answers; by default, with a made-up subscription.

    Raises what the program raises.
    """
    monitor: Any = _Recorder(azure or FakeAzure(), preview, references or {})

    def body() -> None:
        settings.ROOT.set(None)
        settings.SETTINGS.outputs.clear()  # pending outputs of a failed run
        pulumi.runtime.set_all_config({f"{project}:{key}": v for key, v in config.items()})
        settings.configure(
            mocks.MockSettings(
                monitor=monitor,
                monitor_features=set(monitor.GetDeploymentInfo(None).supportedFeatures),
                engine=mocks.MockEngine(logging.getLogger("pulumi")),
                project=project,
                stack=stack_name,
                dry_run=preview,
                organization="organization",
                callbacks=None,
            )
        )

        asyncio.run(_run_in_stack(program))

    # Pulumi keeps its state in context variables and in the thread's event loop: with its own
    # context and thread, a run leaves no trace.
    with warnings.catch_warnings():
        # After a failure some outputs are never awaited, and Python would warn about them.
        warnings.filterwarnings("ignore", "coroutine 'Output", RuntimeWarning)
        try:
            with ThreadPoolExecutor(max_workers=1) as thread:
                thread.submit(contextvars.copy_context().run, body).result()
        except BaseException:
            gc.collect()
            raise
    return Run(
        project,
        stack_name,
        preview,
        tuple(sorted(monitor.recorded, key=lambda r: r.urn)),
        monitor.outputs,
        frozenset(monitor.secret_outputs),
    )


async def _run_in_stack(program: Path) -> None:
    # The first error is raised; errors that follow from it would be printed at random moments.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)

    def body() -> None:
        stack.register_stack_transformation(_without_aliases)
        runpy.run_path(str(program), run_name="__main__")

    await stack.run_in_stack(body)


def _without_aliases(
    args: pulumi.ResourceTransformationArgs,
) -> pulumi.ResourceTransformationResult:
    """Azure's package lists every older API version of a resource as an alias. Computing their URNs
    took most of a run's time, and only a real engine compares them with existing resources."""
    options = copy.copy(args.opts)
    options.aliases = None
    return pulumi.ResourceTransformationResult(args.props, options)


class _Recorder(mocks.MockMonitor):
    def __init__(
        self, azure: FakeAzure, preview: bool, references: Mapping[str, Mapping[str, Any]]
    ) -> None:
        super().__init__(azure)
        self.azure = azure
        self.preview = preview
        self.references = references
        self.recorded: list[Resource] = []
        self.outputs: dict[str, Any] = {}
        self.secret_outputs: set[str] = set()

    def RegisterResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        self.recorded.append(_resource(request, urn, read=False))
        inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
        identity, state = "", inputs
        if request.custom:
            identity, state = self.azure.create(
                request.type, request.name, inputs, known=not self.preview
            )
        self.resources[urn] = mocks.MockMonitor.ResourceRegistration(urn, identity, state)
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identity, object=_struct(state))

    def ReadResource(self, request: Any) -> Any:
        urn = self.make_urn(request.parent, request.type, request.name)
        self.recorded.append(_resource(request, urn, read=True))
        if request.type == REFERENCE_TYPE:
            if request.id not in self.references:
                raise LookupError(f"no stack {request.id}: run `make foundation` first")
            state = {"name": request.id, "outputs": dict(self.references[request.id])}
        else:
            state = self.azure.read(request.type, request.id)
        return resource_pb2.ReadResourceResponse(urn=urn, id=request.id, properties=_struct(state))

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if f"::{STACK_TYPE}::" in request.urn:
            secrets: set[str] = set()
            self.outputs = _plain(request.outputs, "", secrets)
            self.secret_outputs = secrets
        return empty_pb2.Empty()


def _struct(state: Any) -> Struct:
    # Nothing here is awaited: outputs have already been resolved.
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(rpc.serialize_properties(state, {}))
    finally:
        loop.close()


def _resource(request: Any, urn: str, *, read: bool) -> Resource:
    secrets: set[str] = set()
    inputs = _plain(request.properties if read else request.object, "", secrets)
    if read:
        options = Options(
            parent=request.parent,
            version=request.version,
            dependencies=frozenset(request.dependencies),
        )
    else:
        timeouts = {
            name: getattr(request.customTimeouts, name)
            for name in ("create", "update", "delete")
            if getattr(request.customTimeouts, name)
        }
        options = Options(
            protect=request.protect,
            retain_on_delete=request.retainOnDelete,
            delete_before_replace=request.deleteBeforeReplace,
            ignore_changes=tuple(request.ignoreChanges),
            replace_on_changes=tuple(request.replaceOnChanges),
            custom_timeouts=timeouts,
            version=request.version,
            provider=request.provider,
            parent=request.parent,
            dependencies=frozenset(request.dependencies),
            property_dependencies={
                name: frozenset(urns.urns)
                for name, urns in request.propertyDependencies.items()
                if urns.urns
            },
        )
    custom = True if read else request.custom
    return Resource(
        request.type, request.name, urn, custom, read, inputs, frozenset(secrets), options
    )


def _plain(value: Any, path: str, secrets: set[str]) -> Any:
    """A protobuf value as plain Python, with whole numbers as `int`."""
    if isinstance(value, Value):
        kind = value.WhichOneof("kind")
        if kind in ("struct_value", "list_value"):
            return _plain(getattr(value, kind), path, secrets)
        if kind == "string_value":
            return UNKNOWN if value.string_value == rpc.UNKNOWN else value.string_value
        if kind == "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        return value.bool_value if kind == "bool_value" else None
    if isinstance(value, ListValue):
        return [_plain(item, f"{path}[{i}]", secrets) for i, item in enumerate(value.values)]
    if value.fields.get(rpc._special_sig_key, Value()).string_value == rpc._special_secret_sig:
        secrets.add(path)
        return SECRET
    return {
        key: _plain(item, f"{path}.{key}" if path else key, secrets)
        for key, item in sorted(value.fields.items())
    }


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of plain inputs with its path, such as `networkProfile.networkApiVersion`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, f"{path}[{index}]")
    else:
        yield path, value
