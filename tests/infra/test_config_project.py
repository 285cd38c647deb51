"""Settings are declared in Pulumi.yaml: Pulumi can read it, and our reader knows the same keys."""

import math
import re
from pathlib import Path

import pytest
import yaml
from azure_settings import CLUSTER, EXISTING, FOUNDATION, NOW, SSH_KEY

from infra.config import project, read
from infra.config.document import page
from infra.config.problems import SettingsError
from infra.facts import ROOT

FILES = (project.CLUSTER, project.FOUNDATION)


def fits(declared: dict, value: object) -> bool:
    """What Pulumi's `ValidateConfigValue` accepts for its four types."""
    match declared["type"]:
        case "string":
            return isinstance(value, str)
        case "integer":
            return not isinstance(value, bool) and math.trunc(float(str(value))) == value
        case "boolean":
            return isinstance(value, bool)
        case "array":
            return isinstance(value, list) and all(fits(declared["items"], one) for one in value)
    return False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_pulumi_accepts_the_declarations(path):
    content = yaml.safe_load(path.read_text())
    assert re.fullmatch(r"[\w.-]+", content["name"])
    assert content["runtime"]["name"] == "python"
    environment = path.parent / content["runtime"]["options"]["virtualenv"]
    assert environment.resolve().parent == ROOT or environment.name == ".venv"
    for name, declared in content["config"].items():
        # A colon would mean another project, for which Pulumi accepts no type.
        assert re.fullmatch(r"[a-z][A-Za-z]*", name)
        assert set(declared) <= {"type", "description", "default", "items"}
        assert declared["type"] in ("string", "integer", "boolean", "array")
        assert declared["type"] != "array" or declared["items"] == {"type": "string"}
        assert declared["description"].strip()
        if "default" in declared:
            assert fits(declared, declared["default"]), name


def asked(monkeypatch, call) -> set[str]:
    """The keys that a reader uses."""
    seen = []

    class Recording(project.Values):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            seen.append(self)

    monkeypatch.setattr(read, "Values", Recording)
    call()
    return set().union(*(values.used for values in seen))


def test_the_reader_asks_for_every_declared_key_and_no_other(monkeypatch):
    def clusters():
        for given in ({}, EXISTING):
            read.read_cluster({**CLUSTER, **given}, "test", "organization", NOW)

    used = asked(monkeypatch, clusters)
    assert used == set(project.load(project.CLUSTER).keys)
    used = asked(monkeypatch, lambda: read.read_foundation(FOUNDATION, "test", NOW))
    assert used == set(project.load(project.FOUNDATION).keys)


@pytest.mark.parametrize("given", [{}, {"bastion": False, "adminRanges": ["10.9.0.0/24"]}])
def test_defaults_given_by_pulumi_change_nothing(given):
    """Under `pulumi up` the command line fills in defaults, as text; offline the reader does."""
    declared = project.load(project.CLUSTER).keys
    filled = {}
    for name, key in declared.items():
        if key.default is not None:
            text = key.default if key.type == "string" else str(key.default).lower()
            filled[name] = text
    alone = read.read_cluster({**CLUSTER, **given}, "test", "organization", NOW)
    assert read.read_cluster({**filled, **CLUSTER, **given}, "test", "organization", NOW) == alone


def test_the_examples_can_be_used_once_the_key_is_replaced():
    example = project.stack_values(project.load(project.CLUSTER), ROOT / "Pulumi.dev.yaml.example")
    with pytest.raises(SettingsError) as caught:
        read.read_cluster(example, "dev", "organization", NOW)
    (line,) = caught.value.problems
    assert line.startswith("sshPublicKey ")
    settings = read.read_cluster({**example, "sshPublicKey": SSH_KEY}, "dev", "organization", NOW)
    assert [pool.name for pool in settings.pools] == ["cpu", "steady"]
    path = project.FOUNDATION.with_name("Pulumi.dev.yaml.example")
    values = project.stack_values(project.load(project.FOUNDATION), path)
    assert read.read_foundation(values, "dev", NOW).monthly_budget == 800


def test_stack_files_of_other_projects_are_left_alone(tmp_path: Path):
    path = tmp_path / "Pulumi.dev.yaml"
    path.write_text(
        "config:\n  savanna:owner: me\n  azure-native:location: x\n  budgetStart: 2026-11-01\n"
    )
    cluster = project.stack_values(project.load(project.CLUSTER), path)
    assert set(cluster) == {"owner", "budgetStart"}
    with pytest.raises(SettingsError, match="budgetStart"):
        read.read_cluster({**CLUSTER, **cluster}, "test", "organization", NOW)
    given = {**FOUNDATION, "budgetStart": cluster["budgetStart"]}
    assert read.read_foundation(given, "test", NOW).budget_start == "2026-11-01"


def test_the_documentation_is_of_these_declarations():
    written = (ROOT / "docs" / "azure-settings.md").read_text()
    assert written == page(), "run: python -m infra.config.document > docs/azure-settings.md"
