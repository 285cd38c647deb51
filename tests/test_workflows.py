"""The GitHub workflows, and `.ci/run`, which they call."""

import os
import re
import shutil

import pytest
import yaml
from command import ROOT, run

WORKFLOWS = {
    path.stem: yaml.safe_load(path.read_text())
    for path in (ROOT / ".github/workflows").glob("*.yml")
}


def jobs():
    return [
        (name, job) for name, workflow in WORKFLOWS.items() for job in workflow["jobs"].values()
    ]


def targets(job) -> set[str]:
    """The make targets that a job calls, directly or through `.ci/run`."""
    called: set[str] = set()
    for step in job["steps"]:
        for words in re.findall(r"(?:\bmake|\.ci/run) +(.*)", step.get("run", "")):
            for word in re.sub(r"\$\{\{ *(.+?) *\}\}", r"\1", words).split():
                matrix = job["strategy"]["matrix"][word[7:]] if word[:7] == "matrix." else [word]
                called.update(matrix)
    return called


def test_every_workflow_calls_make_targets_that_exist():
    rules = re.findall(r"^([a-z0-9 -]+):(?!=)", (ROOT / "Makefile").read_text(), re.M)
    known = {target for rule in rules for target in rule.split()}
    for name, job in jobs():
        assert not targets(job) - known, name
    assert {"images", "torch-wheel", "soak", "mutants", "drills"} <= set().union(
        *(targets(j) for _, j in jobs())
    )


def test_every_workflow_may_do_little_and_ends():
    for name, workflow in WORKFLOWS.items():
        assert workflow["permissions"] == {"contents": "read"}, name
        assert workflow["concurrency"]["group"], name
    for name, job in jobs():
        assert job["timeout-minutes"] <= 360, name
        for use in filter(None, (step.get("uses") for step in job["steps"])):
            assert re.search(r"@v\d+\.\d+\.\d+$", use), use
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        text = path.read_text()
        assert "secrets." not in text and not re.search(r"^ *password", text, re.M), path.name


def test_the_report_is_kept_of_tests_that_fail_too():
    steps = WORKFLOWS["ci"]["jobs"]["test"]["steps"]
    [upload] = [s for s in steps if s.get("uses", "").startswith("actions/upload-artifact@")]
    assert upload["with"]["path"] == WORKFLOWS["ci"]["jobs"]["test"]["env"]["CI_REPORT"]
    assert upload["if"] == "${{ !cancelled() }}"


@pytest.fixture
def ci(tmp_path):
    """`.ci/run` on a machine with everything it needs; returns its calls."""
    script = tmp_path / "a checkout/.ci/run"
    script.parent.mkdir(parents=True)
    script.write_text((ROOT / ".ci/run").read_text())
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in (
        "google-chrome",
        "node",
        "npm",
        "dockerd",
        "docker",
        "debootstrap",
        "iptables",
        "ip",
        "shellcheck",
        "apt-get",
        "make",
        "setsid",
    ):
        (commands / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "$CALLS"\n')
        (commands / name).chmod(0o755)
    for name in ("bash", "sh", "dirname", "timeout"):
        (commands / name).symlink_to(str(shutil.which(name)))
    calls = tmp_path / "calls"

    def call(*arguments, lacks=(), **environment):
        calls.write_text("")
        for name in lacks:
            (commands / name).unlink()
        run(
            ["bash", script, *arguments],
            check=True,
            env={"PATH": str(commands), "CALLS": str(calls)} | environment,
        )
        return [line for line in calls.read_text().splitlines() if line != "docker version"]

    return call


def test_ci_checks_the_style_and_runs_every_test(ci):
    lint, test = ci()
    assert lint == "make lint"
    assert test.startswith("make test ARGS=") and "--durations=20" in test
    assert "junitxml" not in test


def test_ci_keeps_a_report_where_it_is_told(ci):
    assert '--junitxml="my reports/tests.xml"' in ci(CI_REPORT="my reports/tests.xml")[-1]


def test_ci_makes_what_it_is_told(ci):
    assert ci("soak") == ["make soak"]


@pytest.mark.skipif(os.geteuid() != 0, reason="others ask sudo")
def test_ci_installs_only_what_is_missing(ci):
    update, install, *_ = ci(lacks=("google-chrome", "ip"))
    assert update == "apt-get update -qq"
    assert install.endswith("--no-install-recommends chromium iproute2")
