"""Runs of one command as a group: statistics, ranking, the listing and the page."""

import json
import math
import re

import pytest
from sample_run import CONFIG, failed, result, succeeded
from test_report_browser import look

from savanna.cli import main
from savanna.recording import MetricsCsv
from savanna.recording.group_table import table
from savanna.report import write_group_page
from savanna.runs.directory import RunDirectory
from savanna.runs.group import find_group


def add(root, returns, *, drawn, name="20260301T080000Z-abcd", status=None, steps=1000):
    """A run of a group, with one iteration per return in `returns`."""
    number = len(list(root.glob("pong/2*")))
    run = RunDirectory(root / "pong" / f"{name[:-5]}-s{drawn.get('seed', 0)}-{number:03d}")
    run.path.mkdir(parents=True)
    group = {"name": name, "drawn": drawn}
    config = CONFIG | {"options": {"runs": 3, "group": group}, "seed": drawn.get("seed", 0)}
    run.write_json("config.json", config)
    run.write_json("status.json", status or succeeded())
    recorder = MetricsCsv()
    recorder.start(run, config, resumed=False)
    for iteration, value in enumerate(returns, start=1):
        recorder.record(result(iteration, episode_return_mean=value, agent_steps=iteration * steps))
    recorder.finish({})
    return run


def test_the_mean_and_its_interval_are_over_seeds(tmp_path):
    for seed, final in enumerate((10.0, 12.0, 17.0)):
        add(tmp_path, [1.0, final], drawn={"seed": seed})
    [setting] = find_group(tmp_path, "latest").settings
    assert setting.mean == pytest.approx(13)
    # Student's t with two degrees of freedom: 4.3027 times the standard error of 2.0817.
    assert setting.interval == pytest.approx((13 - 8.9567, 13 + 8.9567), abs=1e-3)


def test_what_failed_or_has_no_return_is_not_in_the_mean_and_is_said(tmp_path):
    add(tmp_path, [10.0], drawn={"seed": 0})
    add(tmp_path, [12.0, math.nan], drawn={"seed": 1})
    add(tmp_path, [99.0], drawn={"seed": 2}, status=failed())
    add(tmp_path, [math.nan], drawn={"seed": 3})
    group = find_group(tmp_path, "latest")
    assert group.settings[0].mean == 11
    assert "(2 of 4 seeds)" in table(group)[0]
    assert "failed" in "\n".join(table(group))


def test_one_seed_has_no_interval(tmp_path):
    add(tmp_path, [10.0], drawn={"seed": 0})
    add(tmp_path, [], drawn={"seed": 1})
    assert table(find_group(tmp_path, "latest"))[0].endswith("10.00 (1 of 2 seeds)")


def test_a_search_with_seeds_ranks_settings_by_their_means(tmp_path, capsys):
    for lr, returns in ((0.1, (50.0, 0.0)), (0.001, (30.0, 32.0)), (0.01, (math.nan, math.nan))):
        for seed, final in enumerate(returns):
            add(tmp_path, [final], drawn={"lr": lr, "seed": seed})
    group = find_group(tmp_path, "latest")
    assert [setting.drawn["lr"] for setting in group.settings] == [0.001, 0.1, 0.01]
    assert group.best.final_return == 50
    assert main(["runs", "--runs-root", str(tmp_path), "--group", "20260301T08", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [s["mean"] for s in shown["settings"]] == [31, 25, None]
    assert shown["settings"][2]["ci95"] == [None, None]
    assert main(["runs", "--runs-root", str(tmp_path), "--group"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ranking of 3 settings by final return"
    assert lines[2].split()[:4] == ["1", "0.001", "mean", "31.00,"]


def test_the_newest_group_is_the_default_and_an_unknown_one_is_told(tmp_path, capsys):
    add(tmp_path, [10.0], drawn={"seed": 0})
    add(tmp_path, [20.0], drawn={"seed": 0}, name="20270301T080000Z-ef01")
    assert find_group(tmp_path, "latest").name == "20270301T080000Z-ef01"
    assert find_group(tmp_path, "2026").settings[0].mean == 10
    assert main(["runs", "--runs-root", str(tmp_path), "--group", "20"]) == 2
    assert "several groups start with this" in capsys.readouterr().err
    assert main(["runs", "--runs-root", str(tmp_path), "--group", "x"]) == 2
    assert "no such group" in capsys.readouterr().err


def test_the_mean_curve_is_drawn_only_where_every_seed_has_a_value(tmp_path):
    from savanna.report.group_figures import _Axis, _common, _lines

    add(tmp_path, [0.0, 10.0, 20.0], drawn={"seed": 0})
    add(tmp_path, [4.0, 14.0], drawn={"seed": 1})
    group = find_group(tmp_path, "latest")
    rows = {member.name: member.run.metrics() for member in group.members}
    axis = _Axis("", "", "agent_steps", 1.0, str)
    x = _common(rows.values(), axis)
    *_, mean = _lines(group.settings[0], "a", x, rows, axis)
    assert {1000.0, 2000.0, 3000.0} <= set(x)
    by_place = dict(zip(x, mean.values))
    assert by_place[1000.0] == 2 and by_place[2000.0] == 12
    known = [place for place, value in by_place.items() if math.isfinite(value)]
    assert (min(known), max(known)) == (1000.0, 2000.0)
    at = x.index(2000.0)
    assert mean.high[at] - mean.low[at] == pytest.approx(2 * 12.7062 * 2, rel=1e-3)


@pytest.mark.parametrize("width", [1200, 400])
@pytest.mark.parametrize("kind", ["seeds", "search", "both"])
def test_the_page_is_laid_out_without_errors(tmp_path, kind, width):
    for number in range(9):
        drawn = {
            "seeds": {"seed": number},
            "search": {"lr": 10.0**-number, "model_config.fcnet_hiddens": [64, 64]},
            "both": {"lr": number // 3, "seed": number % 3},
        }[kind]
        add(tmp_path, [number + i / 10 for i in range(20)], drawn=drawn)
    group = find_group(tmp_path, "latest")
    page = write_group_page(group)
    assert page == tmp_path / "pong" / "group-20260301T080000Z-abcd.html"
    assert write_group_page(group).read_text() == page.read_text()
    text = page.read_text()
    assert not re.search(r'(?:src|href)="(?!data:)[^"]*(?:http|//)', text), "needs the network"
    seen = look(page, width, ["#return svg", ".line", ".band", "#runs tbody tr", ".card", "h1"])
    assert seen["overflow"] <= width
    boxes = seen["boxes"]
    assert len(boxes["#return svg"]) == 2 and len(boxes["#runs tbody tr"]) == 9
    means = {"seeds": 1, "search": 0, "both": 3}[kind]
    assert len(boxes[".line"]) == 2 * (9 + means)
    assert sum(box[3] > 20 for box in boxes[".band"]) >= 2 * means
    for member in group.members:
        assert member.run.id in text
    assert max(right for _, right, *_ in boxes[".card"]) <= width
