"""The pack as Pulumi's engine sees it: a process that answers over gRPC."""

import select
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
import yaml
from command import ours, started
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN

from infra.facts import ROOT
from infra.plan.engine import run
from infra.plan.plan import EXAMPLE_FOUNDATION
from infra.policies.rules import RULES

PACK = ROOT / "infra" / "policies"


@pytest.fixture(scope="module")
def engine():
    """A client of the pack, started as `pulumi up --policy-pack` starts it: in its folder."""
    # `make setup` installs the project where this finds it; here it is this checkout.
    with started(
        [sys.executable, PACK], cwd=PACK, stdout=subprocess.PIPE, stdin=subprocess.PIPE, env=ours()
    ) as process:
        assert select.select([process.stdout], [], [], 120)[0], "it has not named its port"
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield analyzer_pb2_grpc.AnalyzerStub(channel)


def analyze(engine, type_: str, inputs: dict, name: str = "it") -> list:
    request = analyzer_pb2.AnalyzeRequest(
        type=type_,
        name=name,
        urn=f"urn:pulumi:prod::savanna::{type_}::{name}",
        properties=ParseDict(inputs, Struct()),
    )
    return list(engine.Analyze(request).diagnostics)


def test_the_project_file_names_the_environment_that_has_infra():
    content = yaml.safe_load((PACK / "PulumiPolicy.yaml").read_text())
    assert content["runtime"]["name"] == "python"
    venv = content["runtime"]["options"]["virtualenv"]
    assert (PACK / venv).resolve().parent == ROOT or Path(ROOT / ".venv").is_symlink()


def test_the_pack_starts_and_lists_every_rule(engine):
    from google.protobuf.empty_pb2 import Empty

    info = engine.GetAnalyzerInfo(Empty())
    assert info.name == "savanna"
    assert {policy.name for policy in info.policies} == {rule.name for rule in RULES}


def test_what_the_foundation_declares_passes_and_a_planted_error_does_not(engine):
    config = {
        key: value if isinstance(value, str) else '["team@example.org"]'
        for key, value in EXAMPLE_FOUNDATION.items()
    }
    foundation = run(ROOT / "infra" / "foundation", "savanna-foundation", "prod", config)
    for resource in foundation.created():
        assert analyze(engine, resource.type, resource.inputs, resource.name) == []
    account = foundation.one("StorageAccount")
    [found] = analyze(engine, account.type, {**account.inputs, "allowSharedKeyAccess": True})
    assert found.policyName == "no-shared-keys"
    assert found.enforcementLevel == analyzer_pb2.MANDATORY
    assert "allowSharedKeyAccess" in found.message


def test_what_is_not_known_yet_stops_no_preview(engine):
    role = {"roleDefinitionId": UNKNOWN, "principalType": "ServicePrincipal"}
    found = analyze(engine, "azure-native:authorization:RoleAssignment", role)
    assert [d.enforcementLevel for d in found] == [analyzer_pb2.ADVISORY] * len(found)
    assert any(d.policyName == "narrow-roles" for d in found)
