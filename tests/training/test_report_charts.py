"""Axes and charts: round numbers, honest thinning, gaps for missing values."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from savanna.report.chart_data import Chart, Mark, Reference, Series, has_data
from savanna.report.charts import POINTS, render
from savanna.report.scales import labels, number, padded, ticks, time_unit

NAN = math.nan


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (-21, 21, [-20, -10, 0, 10, 20]),
        (0.0013, 0.0042, [0.0015, 0.002, 0.0025, 0.003, 0.0035, 0.004]),
        (0, 524_288, [0, 100_000, 200_000, 300_000, 400_000, 500_000]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("power", range(-6, 10))
@pytest.mark.parametrize("mantissa", [1.0, 1.7, 3.3, 9.9])
def test_ticks_are_a_handful_and_evenly_spaced(power: int, mantissa: float) -> None:
    high = mantissa * 10.0**power
    found = ticks(-high / 3, high)
    assert 3 <= len(found) <= 8
    assert all(-high / 3 - 1e-12 <= t <= high * (1 + 1e-9) for t in found)
    steps = [b - a for a, b in pairwise(found)]
    assert max(steps) == pytest.approx(min(steps))
    # Every tick can be told from its neighbour.
    assert len(set(labels(found))) == len(found)


def test_labels_share_unit_and_decimals() -> None:
    assert labels([0, 200_000, 400_000]) == ["0", "200k", "400k"]
    assert labels([0, 500, 1000]) == ["0", "500", "1000"]
    assert labels([-0.5, 0, 0.5]) == ["−0.5", "0", "0.5"]
    assert labels([0.0095, 0.0100, 0.0105]) == ["0.0095", "0.0100", "0.0105"]
    assert labels([1.5e6, 2e6]) == ["1.5M", "2.0M"]


def test_numbers_as_people_read_them() -> None:
    values = (18.32, -20.7, 0.0, 1234567.0, 0.00001234, NAN, -0.0)
    expected = ["18.3", "−20.7", "0", "1,234,567", "0.0000123", "–", "0"]
    assert [number(v) for v in values] == expected
    assert number(19.0, even=True) == "19.0"


def test_a_constant_has_room_around_it() -> None:
    assert padded([5.0, 5.0]) == (0.0, 10.0)
    assert padded([0.0]) == (-1.0, 1.0)


def test_time_unit_suits_the_span() -> None:
    assert [time_unit(s)[1] for s in (0, 90, 150, 3600, 8000)] == ["s", "s", "min", "min", "h"]


def parsed(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(render(chart))


def by_class(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [e for e in svg.iter() if name in e.get("class", "").split()]


def coordinates(path: ElementTree.Element) -> list[tuple[float, float]]:
    found = re.findall(r"(-?[\d.]+) (-?[\d.]+)", path.get("d", ""))
    return [(float(x), float(y)) for x, y in found]


def test_missing_values_leave_gaps_and_a_lone_point_is_a_dot() -> None:
    line = Series("loss", "a", [1, 2, NAN, NAN, 5, NAN, 7, 8])
    svg = parsed(Chart("loss", "steps", list(range(8)), [line]))
    paths = [coordinates(p) for p in by_class(svg, "line")]
    assert [len(p) for p in paths] == [2, 2, 2]
    assert paths[1][0] == paths[1][1]


def test_long_lines_are_thinned_but_keep_their_extremes_in_the_band() -> None:
    count = 10_000
    values = [0.0] * count
    low, high = list(values), list(values)
    low[1234], high[8765] = -9.0, 9.0
    svg = parsed(Chart("r", "steps", list(range(count)), [Series("r", "a", values, low, high)]))
    (line,) = by_class(svg, "line")
    assert len(coordinates(line)) == POINTS
    (band,) = by_class(svg, "band")
    heights = [y for _, y in coordinates(band)]
    middle = coordinates(line)[0][1]
    assert middle - min(heights) > 80 and max(heights) - middle > 80
    assert len(by_class(svg, "strip")) <= 80


def test_everything_stays_inside_the_chart() -> None:
    chart = Chart(
        "r",
        "steps",
        [10, 20, 30],
        [Series("r", "a", [0, 5, 9])],
        references=[Reference("target", "target", 18), Reference("random play", "random", -21)],
        marks=[Mark(25, 6, 2, 12, "evaluated")],
    )
    svg = parsed(chart)
    drawn = [c for p in svg.iter("path") for c in coordinates(p)]
    assert all(0 <= x <= chart.width and 0 <= y <= chart.height for x, y in drawn)
    texts = [e.text for g in by_class(svg, "reference") for e in g.iter("text")]
    assert texts == ["target 18", "random play −21"]
    # Higher values are drawn higher.
    target, random_play = (coordinates(g[0])[0][1] for g in by_class(svg, "reference"))
    assert target < random_play


def test_labels_of_lines_close_together_keep_apart_and_in_order() -> None:
    lines = [Reference("fixed", "", -25, "end"), Reference("best", "", -18, "end")]
    lines += [Reference("target", "", -29), Reference("random", "", -75, "end")]
    svg = parsed(Chart("r", "steps", [1, 2], [Series("r", "a", [-160, -70])], references=lines))
    labels = [e for g in by_class(svg, "reference") for e in g.iter("text")]
    at = {(e.text or "").split()[0]: float(e.get("y", "nan")) for e in labels}
    assert at["best"] + 14 <= at["fixed"] and at["fixed"] + 14 <= at["random"]


def test_tooltips_say_the_values_and_text_is_escaped() -> None:
    series = [Series("<b>", "a", [1.5, 2.5], [1, 2], [2, 3]), Series("other", "b", [NAN, 4.0])]
    svg = parsed(Chart('"x" & <y>', "<steps>", [1000, 2000], series))
    titles = [e.text for e in svg.iter("title")]
    assert titles == ["1000\n<b>: 1.5 (1 to 2)", "2000\n<b>: 2.5 (2 to 3)\nother: 4"]
    assert svg.get("aria-label") == '"x" & <y>'


def test_a_chart_without_values_has_no_data() -> None:
    empty = Chart("r", "steps", [1, 2], [Series("r", "a", [NAN, NAN])])
    assert not has_data(empty)
    assert parsed(empty).tag == "svg"
