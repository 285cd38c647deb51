"""The table and the curves of `make bench-seeds`."""

import math
import xml.etree.ElementTree as ET

import pytest

from benchmarks import particle_seeds, training_run
from benchmarks.curves import WIDTH, Curve, draw
from benchmarks.particle_seeds import Seed, main, nearest, seconds_to, table
from savanna.errors import SavannaError
from savanna.report.chart_data import Reference
from savanna.runs.checkpoints import CheckpointInfo

ROWS = [
    {"seconds": 10.0, "agent_steps": 3_000.0, "old_return_mean": math.nan},
    {"seconds": 20.0, "agent_steps": 60_000.0, "old_return_mean": -400.0},
    {"seconds": 40.0, "agent_steps": 120_000.0, "old_return_mean": -399.0},
    {"seconds": 60.0, "agent_steps": 180_000.0, "old_return_mean": -450.0},
]
PLAYED = [(9, -500.04, 2.0), (21, -450.0, 1.5), (40, -400.0, 1.0), (60, -380.0, 0.94)]


def test_the_level_is_reached_where_the_return_is_first_above_it():
    assert seconds_to(ROWS, -400) == 40
    assert seconds_to(ROWS, -300) is None


def test_table():
    lines = table([Seed(7, ROWS, PLAYED)], 60).splitlines()
    assert "greedy return after about 10 s" in lines[0]
    assert "greedy return after about 60 s" in lines[0]
    cells = "-500.0 ± 2.0 (9 s) | -450.0 ± 1.5 (21 s) | -400.0 ± 1.0 (40 s) | -380.0 ± 0.9 (60 s)"
    assert lines[2] == f"| 7 | 40 | {cells} | 1,000 |"
    assert lines[-1] == "The median time is 40 s."


def test_the_checkpoint_nearest_to_a_moment():
    infos = [CheckpointInfo(i, i, i, seconds, 0.0) for i, seconds in enumerate((290, 330, 1800))]
    assert [nearest(infos, at) for at in (300, 900, 1700)] == infos


def test_only_choices_of_the_page_change_it(monkeypatch, capsys):
    kept = []
    monkeypatch.setattr(particle_seeds, "train_all", lambda options: options.seeds)
    monkeypatch.setattr(particle_seeds, "look", lambda seed, run, _: Seed(seed, ROWS, PLAYED))
    monkeypatch.setattr(particle_seeds, "keep_page", lambda seeds, how: kept.append(how))
    for other in (("--seconds", "60"), ("--seeds", "0", "1"), ("--episodes", "5")):
        assert main([*other]) == 0 and not kept
        assert "it is left alone" in capsys.readouterr().err
    assert main([]) == main(["--in-turn"]) == 0
    assert kept == ["3 runs at once", "One after the other"]


def test_a_seed_that_does_not_get_there_leaves_no_median():
    text = table([Seed(0, ROWS, PLAYED), Seed(1, ROWS[:2], PLAYED)], 60)
    assert "| 1 | not reached |" in text
    assert "median" not in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "1", "1"], "--seeds 1 1: one is given twice."),
        (["--seeds", *"123456789"], "--seeds: "),
        (["--seconds", "-3"], "--seconds -3: must be at least 1."),
        (["--inturn"], "unknown option '--inturn', did you mean --in-turn?"),
    ],
)
def test_wrong_options_are_one_line(arguments, said, capsys, monkeypatch):
    monkeypatch.setattr(particle_seeds, "train_all", None)
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1


def test_a_training_command_that_fails_is_one_line(tmp_path):
    root = tmp_path / "runs"
    with pytest.raises(SavannaError) as caught:
        training_run.end(training_run.start(0, 1, root, "--no-such-option"), root)
    assert str(caught.value).startswith("savanna train failed: ")
    assert "'--no-such-option'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_curves_of_different_times_share_a_picture(tmp_path):
    file = tmp_path / "curves.svg"
    curves = [
        Curve("a < b", [60, 120, 180], [-600, math.nan, -500]),
        Curve("other", [150, 540], [-700, -650]),
    ]
    draw(file, "returns", curves, [Reference("", "level", -400)])
    root = ET.fromstring(file.read_text())
    svg = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{svg}svg"
    texts = [element.text for element in root.iter(f"{svg}text")]
    assert {"a < b", "other", "training time (min)"} <= set(texts)
    lines = {
        element.get("class"): element.get("d").count("L") + 1
        for element in root.iter(f"{svg}path")
        if "line " in (element.get("class") or "")
    }
    assert lines == {"line s0": 3, "line s1": 3}  # each has a point where the other has one
    assert any("400" in (text or "") for text in texts)


def test_names_that_do_not_fit_in_a_row_go_on_in_the_next(tmp_path):
    file = tmp_path / "curves.svg"
    draw(file, "returns", [Curve("a name that is long" * 2, [1, 2], [0, i]) for i in range(4)])
    root = ET.fromstring(file.read_text())
    svg = "{http://www.w3.org/2000/svg}"
    names = [t for t in root.findall(f"{svg}text") if "long" in (t.text or "")]
    assert len(names) == 4 and len({t.get("y") for t in names}) > 1
    assert all(float(t.get("x")) + 7 * len(t.text) < WIDTH for t in names)
    assert float(root.find(f"{svg}svg").get("y")) > max(float(t.get("y")) for t in names)
