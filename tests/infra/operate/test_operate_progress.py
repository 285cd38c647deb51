"""What `make up` shows of Pulumi's work, and the cause when it fails."""

import gzip
import json

import pytest
from azure_cli import TRANSCRIPTS

from infra.operate.causes import causes, explain
from infra.operate.progress import Progress

EVENTS = [
    json.loads(line)
    for line in gzip.decompress((TRANSCRIPTS / "up-quota-refused.events.jsonl.gz").read_bytes())
    .decode()
    .splitlines()
]
QUOTA = (
    "VirtualMachineScaleSet savanna-dev-cpu: OperationNotAllowed: Operation could not be completed "
    "as it results in exceeding approved LowPriorityCores quota. What to do: raise it (portal, "
    "Quotas, Compute), or use fewer or smaller machines"
)


@pytest.fixture
def by_digest(settings, cloud):
    digest = "@sha256:" + "ab" * 32
    settings.update(dev=False, cpuImage=f"savanna-cpu{digest}", gpuImage=f"savanna-gpu{digest}")
    cloud.save(registry_images=[settings["cpuImage"], settings["gpuImage"]])


def test_a_failed_up_ends_with_the_cause_in_one_line(operate, cloud, by_digest, tmp_path):
    cloud.save(up_says="up-quota-refused", events="up-quota-refused.events.jsonl.gz")
    code, _, err = operate("up", "--yes")
    assert code == 1
    assert err.splitlines()[-1] == f"up: {QUOTA}"
    assert "KeyboardInterrupt" not in err and "Traceback" not in err
    # All of it is kept.
    assert "KeyboardInterrupt" in (tmp_path / ".savanna" / "up.log").read_text()
    assert "all that Pulumi said is in .savanna/up.log" in err


def test_verbose_shows_all_that_pulumi_says(operate, cloud, by_digest):
    cloud.save(up_says="up-quota-refused", events="up-quota-refused.events.jsonl.gz")
    _, _, err = operate("up", "--yes", "--verbose")
    assert "KeyboardInterrupt" in err and err.splitlines()[-1] == f"up: {QUOTA}"


def test_without_an_event_log_the_cause_is_pulumis_own_error(operate, cloud, by_digest):
    cloud.save(up_fails="cluster")
    _, _, err = operate("up", "--yes")
    last = err.splitlines()[-1]
    assert last.startswith(
        "up: SkuNotAvailable: no capacity. What to do: Azure has no such machine"
    )


def test_one_line_a_resource_with_seconds_and_how_many_are_left(capfd):
    progress = Progress()
    for event in EVENTS:  # the preview has the same steps
        progress.see(event, update=False)
    assert capfd.readouterr().err == ""
    progress.begin()
    for event in EVENTS:
        progress.see(event, update=True)
    lines = capfd.readouterr().err.splitlines()
    assert "    1/26  created ResourceGroup savanna-dev, 0 s" in lines
    assert any("FAILED VirtualMachineScaleSet savanna-dev-cpu" in line for line in lines)
    assert any("created VirtualMachine savanna-dev-head, " in line for line in lines)
    # Components are Pulumi's affair.
    assert not any("Stack" in line or "savanna:infra" in line for line in lines)


def test_while_something_takes_long_it_is_said_what_is_still_to_come(capfd, monkeypatch):
    monkeypatch.setattr("infra.operate.progress.SILENCE", -1)
    progress = Progress()
    for event in EVENTS:
        progress.see(event, update=False)
    progress.begin()
    head = "::head-machine"
    for event in EVENTS:
        done = (event.get("resOutputsEvent") or {}).get("metadata", {}).get("urn", "")
        if done.endswith(head):
            break
        progress.see(event, update=True)
    progress.waiting()
    said = capfd.readouterr().err.splitlines()[-1]
    assert "working on" in said and "VirtualMachine savanna-dev-head (" in said
    assert "still to come: " in said and "savanna-dev-cpu" in said.split("to come")[1]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "Code='Conflict' Message='/subscriptions/s/x/savanna-dev-head exists already'",
            "Conflict: /subscriptions/s/x/savanna-dev-head exists already. What to do: run make up",
        ),
        ("error: cannot create already existing resource '/x'", "What to do: run make up again"),
        (
            "PUT https://management\nRESPONSE 409: 409 Conflict\nERROR CODE: SkuNotAvailable\n---\n"
            '{"error": {"code": "SkuNotAvailable", "message": "The requested size is not here."}}',
            "SkuNotAvailable: The requested size is not here. What to do: Azure has no such",
        ),
        ("something new\nin two lines", "something new in two lines. What to do: fix that"),
    ],
)
def test_azures_words_are_found_in_each_form(said, expected):
    assert expected in explain(said) and "\n" not in explain(said)


def test_only_resources_are_causes():
    assert causes(EVENTS) == [QUOTA]
