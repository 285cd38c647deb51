"""`make plan` over the real programs: tree, price, quota, policies, saved plans."""

import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from infra.config.problems import SettingsError
from infra.plan import __main__ as command
from infra.plan import plan as planning
from infra.plan.plan import EXAMPLE_CLUSTER, EXAMPLE_FOUNDATION, Given
from infra.plan.prices import HOURS_PER_MONTH, load
from infra.plan.saved import as_json, difference
from infra.plan.style import Style, style_for
from infra.plan.text import page

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
POOLS = """
- {name: cpu, size: Standard_D16as_v6, spot: true, min: 1, max: 4}
- {name: calm, size: Standard_D4as_v6, spot: false, min: 0, max: 2}
"""


def planned(**settings: object) -> planning.Plan:
    given = Given("dev", {**EXAMPLE_CLUSTER, "pools": POOLS, **settings}, EXAMPLE_FOUNDATION)
    return planning.make(given, NOW, load(), storage_gb=100)


@pytest.fixture(scope="module")
def plan() -> planning.Plan:
    return planned(location="eastus")


def test_the_default_configuration_breaks_no_policy(plan):
    assert plan.violations == ()


def test_the_first_preview_shows_what_up_makes(plan):
    for known, first in (
        (plan.cluster, plan.first_cluster),
        (plan.foundation, plan.first_foundation),
    ):
        assert {r.urn for r in known.resources} == {r.urn for r in first.resources}
    assert planning._differs(plan.cluster, plan.first_cluster) == []
    fewer = replace(plan.first_cluster, resources=plan.first_cluster.resources[1:])
    assert [v.rule for v in planning._differs(plan.cluster, fewer)] == ["preview-is-complete"]


def test_the_bill_follows_from_what_is_declared(plan):
    lines = {line.what: line for line in plan.bill.lines}
    head = lines["head Standard_NC8as_T4_v3"]
    assert head.hourly == (head.price.usd, head.price.usd)
    spot = lines["pool cpu Standard_D16as_v6 spot"]
    demand = load().find("vm/Standard_D16as_v6", "eastus").usd
    # No spot price in the table: the on-demand price is the limit.
    assert spot.at_most and spot.hourly == (demand, 4 * demand)
    calm = lines["pool calm Standard_D4as_v6"]
    assert calm.hourly == (0, 2 * calm.price.usd) and not calm.at_most
    assert {"NAT gateway", "Bastion Standard", "registry Standard"} <= lines.keys()
    assert sum(what.startswith("address") for what in lines) == 2
    low, high = plan.bill.hourly()
    assert low == pytest.approx(sum(line.hourly[0] for line in plan.bill.lines))
    assert high == pytest.approx(plan.bill.hourly("cluster")[1] + plan.bill.hourly("foundation")[1])
    assert plan.bill.stopped_hourly() == pytest.approx(
        plan.bill.hourly("cluster")[0] - head.hourly[0] - spot.hourly[0]
    )
    assert plan.bill.unpriced == []


def test_what_has_no_price_is_said_and_not_guessed():
    plan = planned(pools="[{name: fast, size: Standard_F16als_v6, spot: false, max: 1}]")
    assert plan.bill.unpriced == ["vm/Standard_F16als_v6"]
    text = page(plan, load(), NOW.date(), Style(False))
    assert "no price known, not counted: vm/Standard_F16als_v6" in text
    assert "some prices are for eastus" in text


def test_without_bastion_its_price_and_address_go():
    lines = {line.what for line in planned(bastion=False, adminRanges=["10.9.0.0/24"]).bill.lines}
    assert not any("astion" in what for what in lines)


def test_the_quota_tells_spot_from_regular_and_counts_by_family(plan):
    found = {need.name: (need.minimum, need.maximum) for need in plan.quota}
    assert found == {
        "cores": (8, 8 + 2 * 4),
        "Standard NCASv3_T4 Family": (8, 8),
        "standardDav6Family": (0, 8),
        "lowPriorityCores": (16, 64),
    }


def test_the_page_tells_what_matters(plan):
    text = page(plan, load(), NOW.date(), Style(False))
    for words in (
        "4096 Deny",
        "may: AcrPull on registries/",
        "allows Microsoft.Compute/virtualMachines/deallocate/action",
        "Standard_NC8as_T4_v3: 8 vCPUs, 56 GiB, 1 T4 16 GB",
        "1 to 4 machines, spot up to the on-demand price, deleted when evicted",
        "never changes sku.capacity",
        "what `make down` keeps",
        "policies: no violations",
    ):
        assert words in text
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 110
    for run in (plan.cluster, plan.foundation):
        for resource in run.created():
            assert resource.name in text


def test_old_prices_are_said_to_be_old(plan):
    text = page(plan, load(), date(2027, 11, 21), Style(False))
    assert "the prices are 365 days old" in text


def test_what_survives_is_what_is_protected_or_retained(plan):
    names = {resource.type.split(":")[-1] for resource in plan.survivors}
    assert {"StorageAccount", "BlobContainer", "Registry", "Vault"} <= names
    assert not names & {"VirtualMachine", "VirtualMachineScaleSet", "NatGateway", "BastionHost"}


def test_a_saved_plan_is_equal_to_itself_and_holds_no_user_data(plan):
    saved = json.loads(json.dumps(as_json(plan, NOW)))
    found = difference(saved, as_json(plan, NOW))
    assert not found["added"] and not found["removed"] and not found["changed"]
    assert "cloud-config" not in json.dumps(saved)
    heads = [r for r in saved["resources"] if r["type"].endswith(":VirtualMachine")]
    assert "sha256" in heads[0]["inputs"]["osProfile"]["customData"]
    assert saved["cost"]["monthly"]["max"] == pytest.approx(
        HOURS_PER_MONTH * saved["cost"]["hourly"]["max"]
    )


def test_a_difference_names_what_is_added_removed_changed_and_the_price(plan):
    other = planned(
        location="eastus",
        bastion=False,
        headDiskGib=256,
        adminRanges=["10.9.0.0/24"],
        pools="[{name: cpu, size: Standard_D16as_v6, spot: true, min: 1, max: 4}]",
    )
    found = difference(as_json(plan, NOW), as_json(other, NOW))
    assert any("bastion-host" in key for key in found["removed"])
    assert any("calm" in key for key in found["removed"])
    assert found["added"] == []
    disks = [values for key, values in found["changed"].items() if "VirtualMachine)" in key]
    assert disks[0]["storageProfile.osDisk.diskSizeGB"] == (128, 256)
    price = found["hourly"]["max"]
    assert price["new"] - price["old"] == pytest.approx(
        other.bill.hourly()[1] - plan.bill.hourly()[1]
    )
    assert price["new"] < price["old"]


def test_the_same_settings_later_are_no_difference(plan):
    later = planning.make(
        Given("dev", {**EXAMPLE_CLUSTER, "pools": POOLS, "location": "eastus"}, EXAMPLE_FOUNDATION),
        datetime(2026, 11, 22, 12, 0, tzinfo=UTC),
        load(),
    )
    found = difference(as_json(plan, NOW), as_json(later, NOW))
    assert (found["added"], found["removed"], found["changed"]) == ([], [], {})


def test_mistakes_in_both_projects_are_said_at_once():
    given = Given("dev", {**EXAMPLE_CLUSTER, "headSize": "Standard_NC6"}, {"owner": ""})
    with pytest.raises(SettingsError) as caught:
        planning.make(given, NOW, load())
    text = str(caught.value)
    assert "Pulumi.dev.yaml: headSize 'Standard_NC6'" in text
    assert "infra/foundation/Pulumi.dev.yaml: owner" in text
    assert "infra/foundation/Pulumi.dev.yaml: budgetEmails" in text


def run(*arguments: str, capsys) -> tuple[int, str, str]:
    code = command.main(list(arguments))
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_saves_and_compares(tmp_path, capsys):
    code, out, _ = run("--example", "--json", capsys=capsys)
    assert code == 0
    file = tmp_path / "plan.json"
    file.write_text(out)
    code, out, _ = run("--example", "--diff", str(file), "--set", "maxHours=2", capsys=capsys)
    assert code == 0 and "tags.savanna-limits" in out and "+0.000" in out
    assert "maxHours 24 -> 2: in place: the running head reads it" in out
    code, out, _ = run("--example", "--diff", str(file), "--set", "name=x1", capsys=capsys)
    assert "name savanna -> x1: not possible" in out
    code, out, _ = run("--example", "--diff", str(file), capsys=capsys)
    assert "no resource differs" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--stack", "nowhere"], "Pulumi.nowhere.yaml: no such file"),
        (["--example", "--set", "headSize"], "--set headSize: write KEY=VALUE"),
        (["--example", "--set", "haedSize=x"], "haedSize"),
        (["--example", "--diff", "missing.json"], "--diff missing.json: cannot be read"),
        (["--example", "--prices", "missing.json"], "missing.json: no such file"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(arguments, says, capsys):
    code, out, err = run(*arguments, capsys=capsys)
    assert code == 2 and out == "" and says in err and "Traceback" not in err


def test_a_broken_policy_is_exit_code_1(monkeypatch, capsys):
    # The policies have the last word, even over what the programs were written to do.
    monkeypatch.setattr("infra.policies.checks.TAGS", ("savanna-nonsense",))
    code, out, _ = run("--example", capsys=capsys)
    assert code == 1 and "policy owner-and-expiry: head-machine: tags: savanna-nonsense" in out


def test_an_image_by_tag_is_a_warning_where_it_is_allowed():
    given = Given("alice", {**EXAMPLE_CLUSTER, "pools": POOLS}, EXAMPLE_FOUNDATION)
    found = planning.make(given, NOW, load())
    assert found.violations == ()
    named = {line.split(":")[0] for line in found.warnings if "by digest" in line}
    assert named == {"calm-set", "cpu-set", "head-machine"}


def test_colour_is_for_terminals_only(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert style_for(Terminal()).colour and not style_for(io.StringIO()).colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not style_for(Terminal()).colour
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not style_for(Terminal()).colour
    assert Style(True)("x", "bold") == "\x1b[1mx\x1b[0m"
