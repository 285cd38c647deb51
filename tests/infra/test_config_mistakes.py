"""Mistakes in the settings: each is one line with key, value and fix."""

import pytest
from azure_settings import DIGEST, EXISTING, SSH_KEY, SUBNET, foundation, problems, rsa_key
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.config import project
from infra.config.pools import POOL_KEYS

POOL = {"name": "cpu", "size": "Standard_D16as_v6", "max": 4}


def pool(**changed) -> dict:
    return {"pools": [{**POOL, **changed}]}


# The settings, and the one resulting line: its beginning and the proposed fix.
MISTAKES = [
    ({"owner": ""}, "owner ''", "must be set"),
    ({"owner": "a\nb"}, r"owner 'a\nb'", "on one line"),
    ({"tags": "team"}, "tags 'team'", "must be YAML like {team: rl, site: a1}"),
    ({"tags": "{a: [b]}"}, "tags '{a: [b]}'", "must be YAML like"),
    ({"tags": "{Savanna-stack: x}"}, "tags 'Savanna-stack'", "must not start with savanna-"),
    ({"tags": "{a/b: x}"}, "tags 'a/b'", "use 1-128 characters other than"),
    ({"tags": f"{{a: {'x' * 257}}}"}, "tags 'xxx", "at most 256 characters"),
    ({"tags": {f"t{n}": "x" for n in range(41)}}, "tags '41 tags'", "use at most 40"),
    ({"owner": True}, "owner True", "must be text"),
    ({"hedSize": 1}, "hedSize 1", "did you mean headSize?"),
    ({"zzz": 1}, "zzz 1", "remove zzz"),
    ({"name": "Savanna"}, "name 'Savanna'", "use 2-20 of a-z"),
    ({"name": "s" * 21}, "name 'sss", "use 2-20 of a-z"),
    ({"stack": "my_stack"}, "stack 'my_stack'", "use 2-20 of a-z"),
    ({"location": "West Europe"}, "location 'West Europe'", "such as westeurope"),
    ({"resourceGroup": "rg."}, "resourceGroup 'rg.'", "no dot at the end"),
    ({"foundation": "a/b"}, "foundation 'a/b'", "ORGANISATION/savanna-foundation/STACK"),
    ({"dev": "yes"}, "dev 'yes'", "true or false"),
    (
        {"headSize": "STANDARD_NC6"},
        "headSize 'Standard_NC6'",
        "was retired on 2023-09-06; use Standard_NC8as_T4_v3",
    ),
    ({"headSize": "Standard_NC6s_v3"}, "headSize 'Standard_NC6s_v3'", "use Standard_NC8as_T4_v3"),
    ({"headSize": "Standard_NV12s_v3"}, "headSize 'Standard_NV12s_v3'", "2026-09-30"),
    (
        {"headSize": "Standard_NC8as_T4"},
        "headSize 'Standard_NC8as_T4'",
        "did you mean Standard_NC8as_T4_v3?",
    ),
    ({"headDiskGib": 8}, "headDiskGib 8", "from 30 to 4095"),
    ({"headDiskGib": "much"}, "headDiskGib 'much'", "whole number"),
    ({"headShmGib": 8}, "headShmGib 8", "object store (16.8) within Standard_NC8as_T4_v3's 56"),
    ({"headShmGib": 100}, "headShmGib 100", "use 20, or 0"),
    ({"pools": "- {"}, "pools '- {'", "is not valid YAML"),
    ({"pools": "cpu"}, "pools 'cpu'", "must be a list of entries"),
    (
        pool(size="STANDARD_D2_V2"),
        "pools[0].size 'Standard_D2_v2'",
        "retires on 2028-05-01, ours are generation 2; use Standard_D2as_v6",
    ),
    (pool(size=None), "pools[0].size ''", "must be set"),
    (pool(max=None), "pools[0].max ''", "must be set"),
    (pool(name="Cpu"), "pools[0].name 'Cpu'", "use 2-14 of a-z"),
    (
        pool(name="a" * 14) | {"name": "n" * 20, "stack": "s" * 20},
        f"pools '{'a' * 14}'",
        "at most 55 characters",
    ),
    (pool(name="head"), "pools[0].name 'head'", "use another name"),
    (pool(mx=3), "pools[0].mx 3", "did you mean max?"),
    (pool(price=3), "pools[0].price 3", "no such setting"),
    (pool(min=5), "pools[0].min 5", "more than max 4; lower min or raise max"),
    (pool(min=-1), "pools[0].min -1", "from 0 to 1000"),
    (pool(max=2000), "pools[0].max 2000", "from 1 to 1000"),
    (pool(spot="maybe"), "pools[0].spot 'maybe'", "true or false"),
    (pool(maxPrice=0.2), "pools[0].maxPrice 0.2", "remove it or set spot to true"),
    (pool(maxPrice=0, spot=True), "pools[0].maxPrice 0", "more than 0 US dollars"),
    (pool(maxPrice="cheap", spot=True), "pools[0].maxPrice 'cheap'", "such as 0.25"),
    (pool(size="Standard_B4as_v2", spot=True), "pools[0].spot True", "set spot to false"),
    ({"pools": [POOL, POOL]}, "pools[1].name 'cpu'", "another name"),
    ({"cpuImage": "savanna-cpu:latest"}, "cpuImage 'savanna-cpu:latest'", "set dev to true"),
    ({"cpuImage": "savanna-cpu"}, "cpuImage 'savanna-cpu'", "REPOSITORY@sha256:DIGEST"),
    ({"cpuImage": "savanna-cpu@sha256:12"}, "cpuImage 'savanna-cpu@", "64 characters 0-9 and a-f"),
    ({"gpuImage": f"savanna-cpu{DIGEST}"}, "gpuImage 'savanna-cpu@", "use the gpu flavour"),
    ({"cpuImage": f"a.azurecr.io/x/savanna-gpu{DIGEST}"}, "cpuImage 'a.azure", "cpu flavour"),
    ({"sshPublicKey": ""}, "sshPublicKey ''", "must be set"),
    (
        {"sshPublicKey": "ecdsa-sha2-nistp256 AAAA"},
        "sshPublicKey 'ecdsa-sha2-nistp256 ...'",
        "Azure accepts ssh-ed25519 and ssh-rsa",
    ),
    ({"sshPublicKey": SSH_KEY[:60]}, "sshPublicKey 'ssh-ed25519 ...'", "truncated"),
    ({"sshPublicKey": rsa_key(1024)}, "sshPublicKey 'ssh-rsa ...'", "1024 bits"),
    ({"adminRanges": ["0.0.0.0/0"]}, "adminRanges '0.0.0.0/0'", "opens SSH too widely"),
    ({"adminRanges": ["128.0.0.0/1"]}, "adminRanges '128.0.0.0/1'", "up to a /24"),
    ({"adminRanges": ["20.0.0.0/23"]}, "adminRanges '20.0.0.0/23'", "up to a /24"),
    ({"adminRanges": ["8.0.0.0/5"]}, "adminRanges '8.0.0.0/5'", "up to a /24"),
    ({"adminRanges": ["::/0"]}, "adminRanges '::/0'", "write it like 10.0.0.0/16"),
    ({"adminRanges": "10.0.0.0/8"}, "adminRanges '10.0.0.0/8'", "list of strings"),
    ({"bastion": False}, "adminRanges []", "set bastion to true"),
    (
        {"addressSpace": "8.8.0.0/16", "nodesRange": "8.8.0.0/24"},
        "addressSpace '8.8.0.0/16'",
        "use a private range",
    ),
    (
        {"addressSpace": "168.63.129.0/24", "nodesRange": "168.63.129.0/24"},
        "addressSpace '168.63.129.0/24'",
        "use a private range",
    ),
    (
        {"addressSpace": "169.254.0.0/16", "nodesRange": "169.254.0.0/24"},
        "addressSpace '169.254.0.0/16'",
        "use a private range",
    ),
    (
        {"addressSpace": "172.16.0.0/12", "nodesRange": "172.18.0.0/24"},
        "addressSpace '172.16.0.0/12'",
        "overlaps Docker's 172.17.0.0/16",
    ),
    ({"nodesRange": "10.1.0.0/24"}, "nodesRange '10.1.0.0/24'", "outside addressSpace 10.0.0.0/16"),
    ({"nodesRange": "10.0.0.7/24"}, "nodesRange '10.0.0.7/24'", "inside 10.0.0.0/24; write that"),
    ({"nodesRange": "10.0.0"}, "nodesRange '10.0.0'", "write it like 10.0.0.0/16"),
    ({"nodesRange": "10.0.0.0/25"}, "nodesRange '10.0.0.0/25'", "and Bastion"),
    (
        {"nodesRange": "10.0.0.0/28", "bastion": False, "adminRanges": ["10.9.0.0/24"]},
        "nodesRange '10.0.0.0/28'",
        "use a /27 or larger",
    ),
    (pool(max=124), "pools 'max 124 workers in total'", "has room for 123; lower max"),
    ({"headAddress": "10.0.0.3"}, "headAddress '10.0.0.3'", "from 10.0.0.4 to 10.0.0.14"),
    ({"headAddress": "10.0.0.15"}, "headAddress '10.0.0.15'", "from 10.0.0.4 to 10.0.0.14"),
    ({"headAddress": "head"}, "headAddress 'head'", "write it like 10.0.0.4"),
    (
        {"existingSubnetRange": "10.8.4.0/24"},
        "existingSubnetRange '10.8.4.0/24'",
        "existingSubnetId, which is not set",
    ),
    (
        {**EXISTING, "existingSubnetId": "/subscriptions/x/subnets/y"},
        "existingSubnetId '/subscriptions/x/subnets/y'",
        "which looks like /subscriptions/ID/",
    ),
    (
        {**EXISTING, "existingSubnetId": SUBNET.rpartition("/subnets/")[0]},
        "existingSubnetId",
        "/subnets/SUBNET",
    ),
    ({**EXISTING, "existingSubnetRange": ""}, "existingSubnetRange ''", "write it like"),
    (
        {**EXISTING, "existingSubnetRange": "10.8.4.8/30", "headAddress": "10.8.4.10"}
        | pool(max=1),
        "existingSubnetRange '10.8.4.8/30'",
        "use a /29 or larger",
    ),
    ({**EXISTING, "headAddress": ""}, "headAddress ''", "a free address in it"),
    ({**EXISTING, "headAddress": "10.8.5.1"}, "headAddress '10.8.5.1'", "10.8.4.4 to 10.8.4.254"),
    ({**EXISTING, "bastion": True}, "bastion True", "set it to false"),
    ({**EXISTING, **pool(max=251)}, "pools 'max 251 workers in total'", "room for 250"),
    ({"joinMinutes": 1}, "joinMinutes 1", "from 5 to 120"),
    ({"idleMinutes": -5}, "idleMinutes -5", "from 0"),
    ({"maxHours": 100}, "maxHours 100", "longer than lifetimeHours 72"),
    ({"lifetimeHours": 0}, "lifetimeHours 0", "from 1"),
    ({"expires": "tomorrow"}, "expires 'tomorrow'", "2026-12-24T18:00Z"),
]

FOUNDATION_MISTAKES = [
    ({"budgetEmails": []}, "budgetEmails []", "at least one"),
    ({"budgetEmails": ["team"]}, "budgetEmails 'team'", "not an e-mail address"),
    ({"monthlyBudget": -1}, "monthlyBudget -1", "from 0"),
    ({"budgetStart": "2026-11-02"}, "budgetStart '2026-11-02'", "first day of a month"),
    ({"registry": "myregistry"}, "registry 'myregistry'", "not the ARM id of a registry"),
    ({"repository": "https://github.com/a/b"}, "repository 'https", "write OWNER/NAME"),
    ({"repositoryBranch": "a b"}, "repositoryBranch 'a b'", "name of one branch"),
    ({"keepDays": 400}, "keepDays 400", "from 1 to 365"),
    ({"headSize": "x"}, "headSize 'x'", "no such setting"),
]


def check(lines, begins, proposes):
    assert len(lines) == 1, lines
    assert lines[0].startswith(begins)
    assert proposes in lines[0]
    assert "\n" not in lines[0]


@pytest.mark.parametrize(("given", "begins", "proposes"), MISTAKES)
def test_a_mistake_is_one_line_with_key_value_and_fix(given, begins, proposes):
    check(problems(**given), begins, proposes)


@pytest.mark.parametrize(("given", "begins", "proposes"), FOUNDATION_MISTAKES)
def test_a_mistake_of_the_foundation_is_one_line(given, begins, proposes):
    check(problems(foundation, **given), begins, proposes)


def test_all_mistakes_at_once():
    together = {
        "owner": "",
        "hedSize": 1,
        "location": "West Europe",
        "headSize": "STANDARD_NC6",
        "headDiskGib": 8,
        "cpuImage": "savanna-cpu:latest",
        "sshPublicKey": "x",
        "adminRanges": ["0.0.0.0/0"],
        "addressSpace": "172.16.0.0/12",
        "nodesRange": "10.1.0.0/33",
        "headAddress": "head",
        "joinMinutes": 1,
        "maxHours": 100,
        "dev": "no",
        "pools": [{"name": "head", "size": "Standard_D16as_v6", "max": 2, "min": 3, "x": 1}],
    }
    keys = [line.split(" ")[0] for line in problems(stack="my stack", **together)]
    assert sorted(keys) == sorted(
        [key for key in together if key not in ("pools",)]
        + ["stack", "pools[0].name", "pools[0].min", "pools[0].x"]
    )


def test_a_private_key_is_refused_and_not_shown():
    secret = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n"
    (line,) = problems(sshPublicKey=secret)
    assert "is secret, remove it" in line
    assert "b3BlbnNz" not in line
    (line,) = problems(sshPublicKey="b3BlbnNzaC1rZXktdjEAAAAA")
    assert "b3BlbnNz" not in line


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*POOL_KEYS, "other"]), inner, max_size=4)
    ),
    max_leaves=6,
)
KEYS = [*project.load(project.CLUSTER).keys, "unknown"]


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=4), st.text(max_size=5))
def test_whatever_is_given_there_are_settings_or_lines_and_never_a_crash(given, text):
    for values in (given, {**given, "pools": text}, {**EXISTING, **given}):
        assert all("\n" not in line for line in problems(**values))
