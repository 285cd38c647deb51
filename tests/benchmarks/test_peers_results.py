"""What the comparison with other libraries prints for given results."""

import pytest

from benchmarks.peers.__main__ import curve, main
from benchmarks.peers.clock import Clock, TimeIsUp
from benchmarks.peers.ours import spaced
from benchmarks.peers.results import Look, Outcome, on_old_scale, table
from savanna.runs.checkpoints import CheckpointInfo


def outcome(name, title, *looks):
    return Outcome(name, title, {"torch": "2.13"}, f"the settings of {name}", looks)


OURS = outcome("ours", "Ours", Look(10, 90_000, [-70, -71]), Look(30, 300_000, [-25.0, -27.0]))
PEER = outcome("peer", "Peer 1.0", Look(30, 6_000, [-60.0, -64.0]))


def test_returns_are_put_on_the_old_scale():
    mean, error = on_old_scale([-20.0, -30.0])
    assert mean == 6 * -25 - 225
    assert error == pytest.approx(6 * 50**0.5 / 2**0.5)


def test_table_has_rates_ratios_and_differences():
    lines = table([OURS, PEER]).splitlines()
    assert lines[2] == "| Ours | 30 | 10,000 |  | -381.0 ± 6.0 |  |"
    assert lines[3] == "| Peer 1.0 | 30 | 200 | 50.0 | -597.0 ± 12.0 | +216 |"
    assert "The first line needed at most 30 s to pass what Peer 1.0 reached in 30 s." in lines
    assert "- Peer 1.0 (torch 2.13): the settings of peer." in lines


def test_table_says_so_where_the_peer_is_better():
    assert "The first line did not reach Ours." in table([PEER, OURS])


def test_only_choices_of_the_page_change_it(monkeypatch, capsys):
    kept = []
    monkeypatch.setattr("benchmarks.peers.__main__.compare", lambda options: [OURS])
    monkeypatch.setattr("benchmarks.peers.__main__.draw", lambda *drawn: None)
    monkeypatch.setattr("benchmarks.peers.__main__.keep", lambda name, text: kept.append(name))
    for other in (("--seconds", "60"), ("--seed", "1"), ("--episodes", "5"), ("--only", "ours")):
        assert main([*other]) == 0 and not kept
        assert "it is left alone" in capsys.readouterr().err
    assert main([]) == 0 and kept == ["peers"]


def test_curve_is_over_seconds_and_on_the_old_scale():
    found = curve(OURS)
    assert (found.name, found.x, found.y) == ("Ours", [10, 30], [-648.0, -381.0])


def test_checkpoints_are_those_after_each_interval_and_the_last():
    infos = [CheckpointInfo(i, i, i, seconds, 0.0) for i, seconds in enumerate((9, 31, 58, 95, 99))]
    assert [info.seconds for info in spaced(infos, 30)] == [31, 95, 99]
    assert spaced(infos[:1], 30) == infos[:1]


def test_looks_at_the_policy_are_not_on_the_clock():
    now, looks = [100.0], []

    def look(seconds, steps):
        looks.append((seconds, steps))
        now[0] += 50  # longer than the whole training

    clock = Clock(10, 4, look, lambda: now[0])
    now[0] += 7  # building networks
    clock.start()
    with pytest.raises(TimeIsUp):
        while True:
            now[0] += 1
            clock.tick(16)
    assert looks == [(4, 64), (8, 128)]
    assert (clock.seconds, clock.steps) == (10, 160)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--second", "3"], "unknown option '--second', did you mean --seconds?"),
        (["--seconds", "0"], "--seconds 0: must be at least 1."),
        (["--episodes", "1"], "--episodes 1: must be at least 2."),
        (["--only", "rllib"], "invalid choice: 'rllib'"),
    ],
)
def test_wrong_options_are_one_line_and_train_nothing(arguments, said, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.peers.__main__.compare", None)
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out
