"""The table of `make bench-algorithms`."""

import pytest

from benchmarks import particle_algorithms
from benchmarks.curves import COLOURS
from benchmarks.particle_algorithms import CANDIDATES, main, table
from benchmarks.particle_seeds import Seed
from savanna.cli.main import make_parser
from savanna.cli.train_options import arguments, request_from
from savanna.experiments import Machine
from savanna.planning.plan import make_plan

ROWS = [{"seconds": 60.0, "agent_steps": 180_000.0, "old_return_mean": -450.0}]
PLAYED = [(14, -500.04, 2.0), (47, -400.0, 1.0), (60, -380.0, 0.94)]


def test_table():
    lines = table({"A, b": Seed(0, ROWS, PLAYED)}, 60).splitlines()
    assert "greedy return after about 15 s" in lines[0]
    cells = "-500.0 ± 2.0 (14 s) | -400.0 ± 1.0 (47 s) | -380.0 ± 0.9 (60 s)"
    assert lines[2] == f"| A, b | {cells} | 1,000 |"


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_is_what_its_name_says(name):
    words = ["train", *arguments(["particle", *CANDIDATES[name]])]
    options = make_parser().parse_args(words)
    options.command_line = words
    plan = make_plan(request_from(options), Machine(cpus=2, gpus=0)).content
    assert plan["algorithm"] == name.split(",")[0]
    continuous = plan["rllib"]["env_config"]["continuous"]
    assert continuous == ("discrete" not in name) and plan["env"] == "simple_spread"
    if plan["algorithm"] == "PPO":
        assert plan["rllib"]["share_parameters"] == ("one network" in name)


def test_every_candidate_has_a_colour():
    assert len(CANDIDATES) <= len(COLOURS)


def test_only_choices_of_the_page_change_it(monkeypatch, capsys):
    kept, result = [], Seed(0, ROWS, PLAYED)
    monkeypatch.setattr(particle_algorithms, "measure", lambda name, options: result)
    monkeypatch.setattr(particle_algorithms, "keep_page", kept.append)
    for other in (("--seconds", "60"), ("--seed", "1"), ("--episodes", "5")):
        assert main([*other]) == 0 and not kept
        assert "it is left alone" in capsys.readouterr().err
    assert main([]) == 0
    assert kept == [dict.fromkeys(CANDIDATES, result)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--episodes", "1"], "--episodes 1: must be at least 2."),
        (["--seconds", "nan"], "--seconds nan: must be at least 1."),
        (["--second", "9"], "unknown option '--second', did you mean --seconds?"),
    ],
)
def test_wrong_options_are_one_line(arguments, said, capsys, monkeypatch):
    monkeypatch.setattr(particle_algorithms, "measure", None)
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
