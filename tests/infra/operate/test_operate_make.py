"""The Makefile's targets for Azure use verbs and options that exist."""

import re
import shlex

import pytest
from command import run

from infra.facts import ROOT
from infra.operate.__main__ import VERBS
from infra.operate.__main__ import parser as operate_parser
from infra.plan.__main__ import parser as plan_parser

SECTION = re.search(r"##@ Cluster on Azure\n(.*?)##@", (ROOT / "Makefile").read_text(), re.S)[1]
TARGETS = re.findall(r"^([a-z0-9]+):.*## ", SECTION, re.M)


def command(target: str, *variables: str) -> list[str]:
    """The last command that `make` would run, without its interpreter."""
    done = run(["make", "-n", "-s", target, *variables], cwd=ROOT, check=True)
    return shlex.split(done.stdout.splitlines()[-1].split(" -m ", 1)[1])


def test_every_verb_is_a_target_with_a_line_of_help():
    assert set(TARGETS) == {*VERBS, "plan", "prices"}


@pytest.mark.parametrize("target", VERBS)
def test_a_target_says_what_the_command_understands(target):
    module, *arguments = command(
        target,
        "STACK=prod",
        "YES=1",
        "CONFIRM=x",
        "POOL=cpu",
        "N=3",
        "E2E=1",
        "OWNER=me",
        "LOCATION=x",
        "HOURS=4",
    )
    options = operate_parser().parse_args(arguments)
    assert module == "infra.operate" and options.verb == target
    assert getattr(options, "stack", "prod") == "prod"
    assert getattr(options, "yes", True) is True
    if target == "workers":
        assert (options.pool, options.n) == ("cpu", "3")
    if target == "extend":
        assert options.hours == "4"
    if target == "purge":
        assert options.confirm == "x"


def test_help_names_every_target_that_has_a_line_of_it():
    said = run(["make", "-s", "help"], cwd=ROOT, check=True).stdout
    named = re.findall(r"^  make ([a-z0-9-]+) ", said, re.M)
    lines = re.findall(r"^([a-z0-9 -]+):.*## ", (ROOT / "Makefile").read_text(), re.M)
    assert named == [name for line in lines for name in line.split()]
    assert {"image-sbom", "image-provenance", "image-push", "image-sign"} <= {*named}


def test_questions_are_asked_unless_yes_is_said():
    for target in ("up", "down", "purge", "foundation"):
        assert "--yes" not in command(target)


def test_plan_passes_its_options_on():
    module, *arguments = command("plan", "STACK=prod", "ARGS=--json --set maxHours=2")
    options = plan_parser().parse_args(arguments)
    assert module == "infra.plan" and options.json and options.changes == ["maxHours=2"]


def test_a_command_on_the_head_may_have_options():
    _, *arguments = command("ssh", "ARGS=-- nvidia-smi -L")
    assert operate_parser().parse_args(arguments).command == ["nvidia-smi", "-L"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["upp"], "invalid choice: 'upp'"), (["up", "--stak", "x"], "unrecognized arguments: --stak")],
)
def test_wrong_words_are_refused(arguments, says, capsys):
    with pytest.raises(SystemExit) as ended:
        operate_parser().parse_args(arguments)
    assert ended.value.code == 2 and says in capsys.readouterr().err
