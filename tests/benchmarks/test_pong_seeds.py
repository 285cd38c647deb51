"""The table of `make bench-pong`."""

import math

from benchmarks import pong_seeds
from benchmarks.pong_seeds import Run, main, table

ROWS = [
    {"seconds": 10.0, "agent_steps": 3_000.0, "episode_return_mean": math.nan},
    {"seconds": 50.0, "agent_steps": 200_000.0, "episode_return_mean": 17.9},
    {"seconds": 100.0, "agent_steps": 400_000.0, "episode_return_mean": 18.1},
    {"seconds": 101.0, "agent_steps": 404_000.0, "episode_return_mean": 17.0},
]


def test_a_run_ends_where_it_is_first_at_the_target_and_is_told_in_steps_of_the_bare_emulator():
    lines = table([Run(7, ROWS, 6_000.0), Run(8, ROWS, 5_000.0)]).splitlines()
    assert lines[2] == "| 7 | 100 | 400,000 | 4,000 | 6,000 | 0.60 |"
    assert lines[-1] == (
        "Median: 100 s, 400,000 agent steps, budget 0.55 M. "
        "Worst: 100 s, 400,000 agent steps, budget 0.60 M."
    )


def test_a_seed_that_is_not_solved_is_said_and_leaves_no_median():
    text = table([Run(7, ROWS, 6_000.0), Run(8, ROWS[:2], 6_000.0)])
    assert "| 8 (not solved: 17.9) | 50 |" in text and "Median" not in text
    assert text.splitlines()[-1] == "Solved: 1 of 2."


def test_only_the_seeds_of_the_page_change_it(monkeypatch, capsys):
    kept = []
    monkeypatch.setattr(pong_seeds, "train", lambda seed, options: Run(seed, ROWS, 6_000.0))
    monkeypatch.setattr(pong_seeds, "keep_page", kept.append)
    assert main(["--seeds", "101", "102"]) == 0 and not kept
    assert "it is left alone" in capsys.readouterr().err
    assert main([]) == 0 and len(kept) == 1


def test_bad_choices_are_refused_in_a_line(capsys):
    for wrong in (["--seeds", "1", "1"], ["--seeds", *"123456"], ["--seconds", "0"], ["--fast"]):
        assert main(wrong) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
