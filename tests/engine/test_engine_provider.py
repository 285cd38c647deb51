"""The stand-in for the azure-native plugin, asked as the engine asks it: over gRPC."""

import json
from datetime import UTC, datetime

import grpc
import pytest
from engine_azure import Subscription
from engine_provider import SECRET, SIG, Provider, plain, serve, struct
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc
from pulumi.runtime.rpc import UNKNOWN

from infra.plan import engine
from infra.plan.plan import EXAMPLE_CLUSTER, EXAMPLE_FOUNDATION, Given, make
from infra.plan.prices import load

GROUP = "/subscriptions/00000000-0000-0000-0000-00000000abcd/resourceGroups/g"


def urn(type_: str, name: str) -> str:
    return f"urn:pulumi:dev::savanna::azure-native:{type_}::{name}"


class Asked:
    """The provider's calls, with Python values."""

    def __init__(self, tmp_path) -> None:
        self.azure = Subscription(tmp_path / "azure.json")
        self.fail, self.log = tmp_path / "fail.json", tmp_path / "log.jsonl"
        self.server, port = serve(Provider(self.azure, self.log, self.fail))
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.stub = provider_pb2_grpc.ResourceProviderStub(self.channel)

    def check(self, type_, name, inputs, olds=None):
        request = provider_pb2.CheckRequest(
            urn=urn(type_, name),
            news=struct(inputs),
            olds=struct(olds or {}),
            randomSeed=b"12345678",
        )
        return plain(self.stub.Check(request).inputs)

    def create(self, type_, name, preview=False, **inputs):
        request = provider_pb2.CreateRequest(
            urn=urn(type_, name), properties=struct(inputs), preview=preview
        )
        answer = self.stub.Create(request)
        return answer.id, plain(answer.properties)

    def diff(self, type_, old, new):
        request = provider_pb2.DiffRequest(
            id="x", urn=urn(type_, "x"), old_inputs=struct(old), news=struct(new)
        )
        return self.stub.Diff(request)

    def update(self, type_, id_, **news):
        request = provider_pb2.UpdateRequest(id=id_, urn=urn(type_, "x"), news=struct(news))
        return plain(self.stub.Update(request).properties)

    def read(self, type_, id_, inputs=None):
        request = provider_pb2.ReadRequest(id=id_, urn=urn(type_, "x"), inputs=struct(inputs or {}))
        return self.stub.Read(request)

    def delete(self, type_, id_):
        self.stub.Delete(provider_pb2.DeleteRequest(id=id_, urn=urn(type_, "x")))

    def calls(self):
        return [json.loads(line)["verb"] for line in self.log.read_text().splitlines()]


@pytest.fixture
def asked(tmp_path):
    one = Asked(tmp_path)
    yield one
    one.channel.close()
    one.server.stop(0).wait()


def deleted(asked, type_, id_):
    try:
        asked.delete(type_, id_)
    except grpc.RpcError:
        return False
    return True


def refused(code):
    return pytest.raises(grpc.RpcError, match=code)


def machine(asked, **more):
    id_, _ = asked.create(
        "network:NetworkInterface", "nic", **NIC, subnet=f"{NETWORK}/subnets/head"
    )
    return asked.create(
        "compute:VirtualMachine", "head", vmName="head", resourceGroupName="g", nic=id_, **more
    )


NIC = {"networkInterfaceName": "nic", "resourceGroupName": "g"}
NETWORK = f"{GROUP}/providers/Microsoft.Network/virtualNetworks/n"
SUBNET = {"virtualNetworkName": "n", "resourceGroupName": "g", "addressPrefix": "10.0.0.0/26"}


def test_a_resource_lives_from_creation_to_deletion(asked):
    id_, state = machine(asked, osProfile={"computerName": "head", "customData": "c2VjcmV0"})
    assert id_ == f"{GROUP}/providers/Microsoft.Compute/virtualMachines/head"
    # Azure never says user data again.
    assert state["osProfile"] == {"computerName": "head"} and state["vmId"]
    assert plain(asked.read("compute:VirtualMachine", id_).properties)["osProfile"] == {
        "computerName": "head"
    }
    asked.delete("compute:VirtualMachine", id_)
    assert asked.read("compute:VirtualMachine", id_).id == ""
    asked.delete("compute:VirtualMachine", id_)  # as of Azure: no error
    assert asked.calls() == ["create", "create", "read", "delete", "read", "delete"]


def test_a_preview_makes_nothing(asked):
    id_, state = asked.create("network:NetworkInterface", "nic", preview=True, **NIC)
    assert id_ == "" and "name" not in state and asked.azure.everything() == {}


def test_names_that_are_not_given_are_drawn_once(asked):
    inputs = asked.check("keyvault:Secret", "token", {"vaultName": "v"})
    assert inputs["secretName"].startswith("token") and len(inputs["secretName"]) == 13
    assert asked.check("keyvault:Secret", "token", {"vaultName": "v"}, inputs) == inputs


def test_what_exists_or_is_unknown_is_not_made(asked):
    machine(asked)
    with refused("cannot create already existing resource"):
        asked.create("compute:VirtualMachine", "head", vmName="head", resourceGroupName="g")
    with refused("InvalidRequestContent"):
        asked.create("network:Subnet", "s", subnetName="s", **{**SUBNET, "addressPrefix": UNKNOWN})


@pytest.mark.parametrize(
    ("type_", "old", "new", "replaces"),
    [
        ("compute:VirtualMachine", {"vmName": "a"}, {"vmName": "b"}, ["vmName"]),
        ("network:Subnet", {"location": "a"}, {"location": "b"}, ["location"]),
        ("compute:VirtualMachine", {"tags": {"a": "1"}}, {"tags": {"a": "2"}}, []),
        ("compute:VirtualMachine", {"osProfile": {"computerName": "a"}}, {"osProfile": {}}, []),
        (
            "authorization:RoleAssignment",
            {"principalId": "a"},
            {"principalId": "b"},
            ["principalId"],
        ),
    ],
)
def test_what_a_change_means(asked, type_, old, new, replaces):
    found = asked.diff(type_, old, new)
    assert found.changes == provider_pb2.DiffResponse.DIFF_SOME
    assert list(found.replaces) == replaces and len(found.detailedDiff) == 1
    assert asked.diff(type_, old, old).changes == provider_pb2.DiffResponse.DIFF_NONE


def test_a_secret_is_a_value(asked):
    secret = {SIG: SECRET, "value": "hidden"}
    found = asked.diff("network:Subnet", {"a": "hidden"}, {"a": secret})
    assert found.changes == provider_pb2.DiffResponse.DIFF_NONE


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ({"osProfile": {"customData": "YQ=="}}, {"osProfile": {"customData": "Yg=="}}, False),
        ({"priority": "Spot"}, {"priority": "Regular"}, False),
        ({"hardwareProfile": {"vmSize": "a"}}, {"hardwareProfile": {"vmSize": "b"}}, True),
    ],
)
def test_what_azure_changes_of_a_machine(asked, old, new, allowed):
    id_, _ = machine(asked, **old)
    news = {"vmName": "head", "resourceGroupName": "g", "nic": f"{GROUP}/x", **new}
    if allowed:
        assert (
            asked.update("compute:VirtualMachine", id_, **news)["hardwareProfile"]["vmSize"] == "b"
        )
        return
    with refused("PropertyChangeNotAllowed"):
        asked.update("compute:VirtualMachine", id_, **news)


def test_a_range_in_use_does_not_move(asked):
    subnet, _ = asked.create("network:Subnet", "head", subnetName="head", **SUBNET)
    machine(asked)
    with refused("InUsePrefixCannotBeDeleted"):
        asked.update(
            "network:Subnet", subnet, subnetName="head", **{**SUBNET, "addressPrefix": "x"}
        )


def test_what_is_used_is_not_deleted_and_goes_with_its_group(asked):
    group, _ = asked.create("resources:ResourceGroup", "g", resourceGroupName="g")
    network, _ = asked.create(
        "network:VirtualNetwork", "n", virtualNetworkName="n", resourceGroupName="g"
    )
    subnet, _ = asked.create("network:Subnet", "head", subnetName="head", **SUBNET)
    other, _ = asked.create("network:Subnet", "he", subnetName="he", **SUBNET)
    vm, _ = machine(asked)
    with refused("InUseSubnetCannotBeDeleted"):
        asked.delete("network:Subnet", subnet)
    asked.delete("network:Subnet", other)  # its id is the beginning of another's
    with refused("CannotDeleteResource"):
        asked.delete("network:VirtualNetwork", network)
    asked.delete("resources:ResourceGroup", group)
    assert asked.azure.everything() == {} and asked.read("compute:VirtualMachine", vm).id == ""


def test_a_lock_forbids_deletion_in_it_and_around_it(asked):
    group, _ = asked.create("resources:ResourceGroup", "g", resourceGroupName="g")
    vm, _ = machine(asked)
    for lock in (group, vm):
        asked.azure.file.with_suffix(".locks").write_text(lock)
        for type_, id_ in (("compute:VirtualMachine", vm), ("resources:ResourceGroup", group)):
            with refused("ScopeLocked"):
                asked.delete(type_, id_)


def test_azures_own_changes_are_seen(asked):
    id_, _ = machine(asked, hardwareProfile={"vmSize": "a"})
    data = asked.azure.everything()
    data[id_]["state"]["hardwareProfile"]["vmSize"] = "b"  # by somebody in the portal
    asked.azure.save(data)
    inputs = {"hardwareProfile": {"vmSize": "a"}, "osProfile": {"customData": "x"}}
    found = plain(asked.read("compute:VirtualMachine", id_, inputs).inputs)
    assert found == {"hardwareProfile": {"vmSize": "b"}, "osProfile": {"customData": "x"}}


def test_calls_fail_on_demand(asked):
    rule = {"verb": "create", "code": "OperationNotAllowed", "message": "quota", "times": 1}
    asked.fail.write_text(json.dumps({"nic": rule}))
    with refused("OperationNotAllowed"):
        asked.create("network:NetworkInterface", "nic", **NIC)
    assert asked.create("network:NetworkInterface", "nic", **NIC)[0]
    assert asked.calls() == ["refused", "create"]


def test_it_takes_everything_that_the_programs_declare_and_gives_it_back(asked):
    plan = make(Given("dev", EXAMPLE_CLUSTER, EXAMPLE_FOUNDATION), datetime.now(UTC), load())
    for run in (plan.foundation, plan.cluster):
        made = []
        for resource in run.created():
            type_ = resource.type.removeprefix("azure-native:")
            inputs = json.loads(json.dumps(resource.inputs).replace(f'"{engine.UNKNOWN}"', '"x"'))
            made.append((type_, asked.create(type_, resource.name, **inputs)[0]))
        assert len({id_ for _, id_ in made}) == len(made)
        while made:  # the order is the engine's affair
            left = [one for one in made if not deleted(asked, *one)]
            assert len(left) < len(made), left
            made = left
    assert asked.azure.everything() == {}
