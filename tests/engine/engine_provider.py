"""A stand-in for the azure-native plugin, which the real Pulumi engine starts as it starts that.

It prints a port and serves Pulumi's provider protocol there. `$STANDIN_AZURE` is the subscription's
file. `$STANDIN_FAIL`, a JSON file, makes single calls fail: {type or logical name: {"verb":
"create", "message": "...", "times": 1}}; with "seconds" the call takes that long first, and without
a message it then succeeds. `$STANDIN_LOG` gets a JSON line per call.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Mapping
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
from engine_azure import Refused, Subscription, answered, leaves, overlay
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import rpc
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.plan.fake_azure import PATHS

VERSION = "3.29.0"
SIG, SECRET = rpc._special_sig_key, rpc._special_secret_sig
FORCE_NEW = {
    "compute:VirtualMachine": ("vmName",),
    "compute:VirtualMachineScaleSet": ("vmScaleSetName", "orchestrationMode"),
    "authorization:RoleAssignment": ("roleAssignmentName", "principalId", "roleDefinitionId"),
    "authorization:RoleDefinition": ("roleDefinitionId",),
}
"""Properties that only a new resource can have otherwise; besides, for all types, these."""
ALWAYS_NEW = ("location", "resourceGroupName", "scope")


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Answers from a `Subscription`."""

    def __init__(self, azure: Subscription, log: Path, fail: Path) -> None:
        self.azure, self.log, self.fail = azure, log, fail

    def GetPluginInfo(self, request, context):
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request, context):
        schema = json.dumps({"name": "azure-native", "version": VERSION})
        return provider_pb2.GetSchemaResponse(schema=schema)

    def GetMapping(self, request, context):
        return provider_pb2.GetMappingResponse()

    def GetMappings(self, request, context):
        return provider_pb2.GetMappingsResponse()

    def CheckConfig(self, request, context):
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request, context):
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request, context):
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Cancel(self, request, context):
        return empty_pb2.Empty()

    def Invoke(self, request, context):
        call = type("Call", (), {"token": request.tok, "args": plain(request.args)})()
        result, _ = self.azure.fake.call(call)
        return provider_pb2.InvokeResponse(**{"return": struct(result)})

    def Check(self, request, context):
        type_, news = short(request.urn), json_format.MessageToDict(request.news)
        # Names by lot, as the real provider gives them: the logical name and eight digits.
        for key in re.findall(r"\{(\w+)\}", PATHS.get(type_, ""))[-1:]:
            if key not in news:
                old = plain(request.olds).get(key)
                news[key] = old or request.urn.split("::")[-1] + request.randomSeed.hex()[:8]
        return provider_pb2.CheckResponse(inputs=struct(news))

    def Diff(self, request, context):
        type_ = short(request.urn)
        olds = dict(leaves(plain(request.old_inputs)))
        news = dict(leaves(plain(request.news)))
        detailed, replaces = {}, []
        for path in sorted({*olds, *news}):
            if olds.get(path) == news.get(path):
                continue
            top = re.split(r"[.\[]", path)[0]
            named = top.endswith("Name") and "." not in path
            word = "ADD" if path not in olds else "DELETE" if path not in news else "UPDATE"
            if named or top in (*ALWAYS_NEW, *FORCE_NEW.get(type_, ())):
                replaces.append(top)
                word += "_REPLACE"
            kind = provider_pb2.PropertyDiff.Kind.Value(word)
            detailed[path] = provider_pb2.PropertyDiff(kind=kind, inputDiff=True)
        changes = provider_pb2.DiffResponse.DIFF_SOME
        return provider_pb2.DiffResponse(
            changes=changes if detailed else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=replaces,
            detailedDiff=detailed,
            hasDetailedDiff=True,
            diffs=sorted({re.split(r"[.\[]", path)[0] for path in detailed}),
        )

    def Create(self, request, context):
        type_, inputs = short(request.urn), plain(request.properties)
        if request.preview:
            name = request.urn.split("::")[-1]
            _, state = self.azure.fake.create(f"azure-native:{type_}", name, inputs, known=False)
            return provider_pb2.CreateResponse(id="", properties=struct(answered(state)))
        with self._asked("create", request.urn, context):
            if rpc.UNKNOWN in dict(leaves(inputs)).values():
                raise Refused("InvalidRequestContent", "unknown values")
            id_, state = self.azure.create(type_, request.urn, inputs)
            return provider_pb2.CreateResponse(id=id_, properties=struct(state))

    def Read(self, request, context):
        with self._asked("read", request.urn, context):
            one = self.azure.read(request.id)
            if one is None:
                return provider_pb2.ReadResponse()
            # The real one puts into the inputs what Azure now says otherwise; so does this.
            inputs = overlay(plain(request.inputs) or one["inputs"], one["state"])
            return provider_pb2.ReadResponse(
                id=request.id, properties=struct(one["state"]), inputs=struct(inputs)
            )

    def Update(self, request, context):
        news = plain(request.news)
        if request.preview:
            state = {**answered(plain(request.olds)), **answered(news)}
            return provider_pb2.UpdateResponse(properties=struct(state))
        with self._asked("update", request.urn, context):
            state = self.azure.update(request.id, request.urn, news)
            return provider_pb2.UpdateResponse(properties=struct(state))

    def Delete(self, request, context):
        with self._asked("delete", request.urn, context):
            self.azure.delete(request.id)
            return empty_pb2.Empty()

    def _asked(self, verb: str, urn: str, context: grpc.ServicerContext) -> _Asked:
        return _Asked(self, verb, urn, context)

    def note(self, **what: object) -> None:
        """One line in the log."""
        with self.log.open("a") as out:
            out.write(json.dumps(what) + "\n")

    def planned_failure(self, verb: str, urn: str) -> None:
        """Fail, or take its time, if a test wants that."""
        rules = json.loads(self.fail.read_text()) if self.fail.exists() else {}
        rule = rules.get(urn.split("::")[-1]) or rules.get(short(urn))
        if rule and rule["verb"] == verb and rule.setdefault("times", 1) > 0:
            rule["times"] -= 1
            self.fail.write_text(json.dumps(rules))
            time.sleep(rule.get("seconds", 0))
            if "message" in rule:
                raise Refused(rule.get("code", "Planned"), rule["message"])


class _Asked:
    """A call to Azure: logged, and its refusal passed on as the provider's error."""

    def __init__(self, provider: Provider, verb: str, urn: str, context) -> None:
        self.provider, self.verb, self.urn, self.context = provider, verb, urn, context
        self.refused = ""

    def __enter__(self) -> None:
        try:
            self.provider.planned_failure(self.verb, self.urn)
        except Refused as error:
            self._refuse(error)

    def __exit__(self, kind, error, trace) -> None:
        if isinstance(error, Refused):
            self._refuse(error)
        if not error:
            self.provider.note(verb=self.verb, type=short(self.urn), urn=self.urn)

    def _refuse(self, error: Refused) -> None:
        self.provider.note(verb="refused", of=self.verb, urn=self.urn, code=error.code)
        self.context.abort(grpc.StatusCode.UNKNOWN, str(error))


def plain(message: struct_pb2.Struct) -> Any:
    """A message as Python values; secrets are only values here."""
    return _strip(json_format.MessageToDict(message))


def _strip(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get(SIG) == SECRET:
            return _strip(value["value"])
        return {k: _strip(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_strip(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def struct(value: Mapping[str, Any]) -> struct_pb2.Struct:
    """Python values as a message."""
    return json_format.ParseDict(value, struct_pb2.Struct())


def short(urn: str) -> str:
    """The type of a URN without "azure-native:"."""
    return urn.split("::")[2].split("$")[-1].removeprefix("azure-native:")


def serve(provider: Provider) -> tuple[grpc.Server, int]:
    """A running server and its port."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


if __name__ == "__main__":
    environment = os.environ
    made = Provider(
        Subscription(Path(environment["STANDIN_AZURE"])),
        Path(environment["STANDIN_LOG"]),
        Path(environment.get("STANDIN_FAIL", "/nonexistent")),
    )
    running, at = serve(made)
    print(at, flush=True)
    running.wait_for_termination()
    sys.exit(0)
