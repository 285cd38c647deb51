"""The list of planted defects, and the runner that plants them, tried on a tiny project."""

import json

import pytest
from command import ROOT, run
from planted.__main__ import main
from planted.defects import load
from planted.running import copy_checkout, run_tests
from waiting import gone, wait_until

CODE = "def twice(number):\n    return 2 * number\n\n\ndef unused():\n    return 3\n"
TESTS = """
import subprocess, sys
from small import twice
def test_twice():
    assert twice(3) == 6
def test_leaves():
    code = "import time; time.sleep(300)"
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    print("left", child.pid)
def test_hangs():
    import time
    time.sleep(300)
"""
ENTRY = """
[[defect]]
name = {name!r}
what = "a mistake"
file = {file!r}
old = {old!r}
new = "0"
tests = ["tests/test_small.py::test_twice"]
"""


@pytest.fixture
def project(tmp_path):
    """A checkout with one function that is tested and one that is not."""
    folder = tmp_path / "project"
    (folder / "tests").mkdir(parents=True)
    (folder / "small.py").write_text(CODE)
    (folder / "tests" / "test_small.py").write_text(TESTS)
    run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def listed(folder, *entries):
    """A folder with a list of defects (name, file, old text)."""
    folder.mkdir()
    text = "".join(ENTRY.format(name=n, file=f, old=o) for n, f, o in entries)
    (folder / "list.toml").write_text(text)
    return folder


def test_every_defect_still_applies():
    assert [problem for defect in load() if (problem := defect.problem(ROOT))] == []


def test_what_is_caught_what_survives_and_what_no_longer_applies(project, tmp_path, capfd):
    folder = listed(
        tmp_path / "list",
        ("seen", "small.py", "2 * number"),
        ("missed", "small.py", "3"),
        ("gone", "small.py", "4 * number"),
        ("lost", "large.py", "x"),
    )
    table = tmp_path / "table.json"
    options = ["--json", str(table), "--workers", "1"]
    assert main(options, project, folder) == 1
    rows = {row["name"]: row for row in json.loads(table.read_text())}
    assert {name: row["result"] for name, row in rows.items()} == {
        "seen": "caught",
        "missed": "SURVIVED",
        "gone": "DOES NOT APPLY",
        "lost": "DOES NOT APPLY",
    }
    assert rows["seen"]["by"] == "tests/test_small.py::test_twice"
    out, err = capfd.readouterr()
    assert "1 of 4 caught" in out and "gone no longer applies" in err and "large.py is gone" in err
    assert (project / "small.py").read_text() == CODE, "the checkout itself is never touched"
    assert main([*options, "--only", "seen", "--no-clean-run"], project, folder) == 0


def test_tests_that_fail_anyway_prove_nothing(project, tmp_path, capfd):
    (project / "small.py").write_text(CODE.replace("2 * number", "5 * number"))
    folder = listed(tmp_path / "list", ("seen", "small.py", "5 * number"))
    assert main(["--workers", "1"], project, folder) == 1
    assert "RED WITHOUT IT" in capfd.readouterr().out


def test_nothing_outlives_its_tests_and_a_hang_ends(project, tmp_path, monkeypatch):
    monkeypatch.setattr("planted.running.GRACE", 1)
    copy = copy_checkout(project, tmp_path / "copy")
    left = run_tests(copy, ["tests/test_small.py::test_leaves", "-s"], 120)
    assert left.green, left.said
    wait_until(lambda: gone(int(left.said.split("left ")[1].split()[0])), "it is killed too")
    hung = run_tests(copy, ["tests/test_small.py::test_hangs"], 1)
    assert hung.late and not hung.green


def test_what_cannot_be_imported_is_no_catch(project, tmp_path):
    (project / "small.py").write_text("import nowhere\n")
    copy = copy_checkout(project, tmp_path / "copy")
    outcome = run_tests(copy, ["tests/test_small.py"], 120)
    assert not outcome.failed and not outcome.green


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[defect]]\nname = "x"\ntest = ["a"]\n', "x: missing or unknown: file, new, old, test"),
        (2 * ENTRY.format(name="x", file="f", old="o"), "x: the name is taken"),
        (ENTRY.format(name="x", file="f", old="0"), "x: wrong needs, no change, or no tests"),
    ],
)
def test_a_wrong_entry_is_named(text, says, tmp_path, capfd):
    (tmp_path / "list.toml").write_text(text)
    assert main([], ROOT, tmp_path) == 2
    assert says in capfd.readouterr().err


def test_unknown_options_and_patterns_are_refused(capfd):
    with pytest.raises(SystemExit):
        main(["--onyl", "x"])
    assert main(["--only", "no such thing"]) == 2
    assert "no defect matches 'no such thing'" in capfd.readouterr().err
