"""Several seeds of the same settings, and searches: the request and the result."""

import json
import os
import signal
import subprocess

import pytest
from command import finish, ours, savanna, savanna_command, started
from plans import plan_of
from waiting import wait_until

from savanna.cli import main
from savanna.errors import UsageError
from savanna.runs.directory import RunDirectory
from savanna.session.tune import DRAWN, _with_drawn

QUICK = ("--evaluate-episodes", "0", "--no-video", "--checkpoint-freq", "0", "--stop", "none")


def runs_of(folder) -> list[RunDirectory]:
    return [RunDirectory(p.parent) for p in sorted(folder.glob("runs/cartpole/*/config.json"))]


@pytest.mark.parametrize(
    ("words", "drawn", "count"),
    [
        ("--seeds 3", {"seed": "grid(0, 1, 2)"}, 3),
        ("--seed 4 --seeds 2", {"seed": "grid(4, 5)"}, 2),
        ("--seeds 1,2,7", {"seed": "grid(1, 2, 7)"}, 3),
        ("--num-samples 3", {"seed": "grid(0, 1, 2)"}, 3),
        ("--seeds 1", {}, 1),
        ("--set lr=uniform(0.1,0.2) --num-samples 4", {"lr": "uniform(0.1,0.2)"}, 4),
        (
            "--set lr=grid(0.1,0.2) --set gamma=grid(0.9,0.98,0.99) --num-samples 2 --seeds 2",
            {"lr": "grid(0.1,0.2)", "gamma": "grid(0.9,0.98,0.99)", "seed": "grid(0, 1)"},
            24,
        ),
    ],
)
def test_a_dry_run_says_how_many_runs_there_will_be(words, drawn, count, capsys):
    assert main(["train", "cartpole", *words.split(), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == {"count": count, "drawn": drawn}
    assert main(["train", "cartpole", *words.split(), "--dry-run"]) == 0
    assert (f"\nruns         {count}: " in capsys.readouterr().out) == (count > 1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--seed 4294967295", "seed 4294967295: must be from 0 to 2147483647"),
        ("--seed -1", "seed -1: must be from 0 to 2147483647"),
        ("--seed 2147483647 --seeds 2", "seed 2147483648: must be from 0"),
        ("--seeds 1,99999999999", "seed 99999999999: must be from 0"),
        ("--seeds 0", "--seeds 0: must be at least 1"),
        ("--seeds 1,1", "--seeds 1,1: a seed is given twice"),
        ("--seeds many", "give how many, as in --seeds 5, or which, as in --seeds 1,2,7"),
        ("--seeds 1,2 --seed 3", "--seed 3 and --seeds 1,2: both choose the seeds"),
        ("--seeds 2 --num-samples 3", "--seeds 2 and --num-samples 3: without a search space"),
        ("--set seed=grid(1,2,3)", "--set seed=grid(1,2,3): give seeds as --seeds 1,2,3"),
    ],
)
def test_seeds_that_cannot_be_are_refused_in_one_line(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "cartpole", *words.split()]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert says in line
    assert not list(tmp_path.iterdir()), "nothing may be left behind"


@pytest.mark.parametrize("words", [["--seeds", "2"], ["--num-samples", "2"]])
def test_a_resumed_run_is_one(words, copied, capsys, monkeypatch):
    monkeypatch.chdir(copied)
    assert main(["train", "--resume", "latest", *words]) == 2
    assert "--resume continues one run" in capsys.readouterr().err


@pytest.mark.parametrize("experiment", ["cartpole", "pong", "particle"])
def test_a_drawn_seed_reaches_the_algorithm_and_the_config(experiment):
    plan = plan_of(experiment, "--seeds", "1,2,7")
    algorithm = plan.config.algo_class
    tuned = {**plan.config.to_dict(), DRAWN: {"seed": 7}}
    config = algorithm.get_default_config().update_from_dict(_with_drawn(algorithm, tuned))
    assert config.seed == 7
    content = plan.content_with({"seed": 7}, "name")
    assert content["seed"] == content["rllib"]["seed"] == 7
    assert content["options"]["group"] == {"name": "name", "drawn": {"seed": 7}}
    assert "seed" not in content["overrides"], "a resumed run could not set it"


def test_every_seed_is_a_run_and_together_they_are_a_table_and_a_page(tmp_path):
    result = savanna(
        "train", "cartpole", "--num-samples", "2", "--seed", "3", *QUICK, "--stop", "iterations=1",
        cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    runs = runs_of(tmp_path)
    assert [run.id.rpartition("-")[2] for run in runs] == ["s3", "s4"]
    assert [run.config["seed"] for run in runs] == [3, 4]
    assert [run.config["rllib"]["seed"] for run in runs] == [3, 4]
    assert [run.metadata["seed"] for run in runs] == [3, 4]
    assert result.stdout.split() == [str(run.path) for run in runs]
    first, second = (run.metrics()[-1]["episode_return_mean"] for run in runs)
    assert first != second, "the seed had no effect"
    assert f"mean {(first + second) / 2:.2f}, 95 % interval" in result.stderr
    assert "(2 seeds)" in result.stderr
    for run in runs:
        assert f"cartpole/{run.id}" in result.stderr
    [page] = tmp_path.glob("runs/cartpole/group-*.html")
    assert str(page) in result.stderr
    listed = savanna("runs", "--group", "--json", cwd=tmp_path)
    [setting] = json.loads(listed.stdout)["settings"]
    assert setting["mean"] == pytest.approx((first + second) / 2)
    assert [row["drawn"] for row in setting["runs"]] == [{"seed": 3}, {"seed": 4}]

    resumed = savanna(
        "train", "--resume", runs[1].id, "--stop", "iterations=2", "--no-report", cwd=tmp_path
    )
    assert resumed.returncode == 0, resumed.stderr
    assert runs[1].config["seed"] == runs[1].config["rllib"]["seed"] == 4
    assert runs[1].config["options"]["group"] == {
        **runs[0].config["options"]["group"],
        "drawn": {"seed": 4},
    }
    assert "seeds" not in resumed.stderr and resumed.stdout.split() == [str(runs[1].path)]


def test_a_search_ends_with_a_ranking_by_drawn_value(tmp_path):
    result = savanna(
        "train", "cartpole", "--set", "lr=grid(1e-7,1e-3)", *QUICK, "--stop", "iterations=3",
        "--no-report", cwd=tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    returns = {
        run.config["overrides"]["lr"]: run.metrics()[-1]["episode_return_mean"]
        for run in runs_of(tmp_path)
    }
    assert returns[1e-3] > returns[1e-7]
    ranked = [line.split()[:3] for line in result.stderr.splitlines() if "cartpole/2" in line][:2]
    assert ranked == [
        ["1", "0.001", f"{returns[1e-3]:.2f}"],
        ["2", "1e-07", f"{returns[1e-7]:.2f}"],
    ]
    assert not list(tmp_path.glob("runs/cartpole/*.html")) and ".html" not in result.stderr
    listed = savanna("runs", cwd=tmp_path).stdout
    assert "drawn" in listed.splitlines()[0] and "lr=0.001" in listed and "lr=1e-07" in listed


def test_draws_are_those_of_the_seed_and_the_same_for_all_seeds(tmp_path):
    from ray.tune.search.variant_generator import generate_variants  # noqa: F401

    from savanna.planning.search_space import draws, parse_search_space

    def drawn(seed: int) -> list[tuple[float, int]]:
        search = draws(seed)
        spaces = {"lr": "uniform(0,1)", "seed": "grid(1,2)"}
        space = {key: parse_search_space(key, text) for key, text in spaces.items()}
        search.add_configurations({"x": {"run": "PPO", "config": {DRAWN: space}, "num_samples": 2}})
        found = []
        while trial := search.next_trial():
            found.append((trial.config[DRAWN]["lr"], trial.config[DRAWN]["seed"]))
        return found

    one = drawn(1)
    assert one == drawn(1) != drawn(2)
    assert [seed for _, seed in one] == [1, 2, 1, 2]
    assert one[0][0] == one[1][0] != one[2][0] == one[3][0]


def test_ctrl_c_begins_no_other_seed_and_says_how_each_goes_on(tmp_path):
    command = savanna_command(
        "train", "cartpole", "--seeds", "3", "--runs-root", "r 4", *QUICK,
        "--stop", "iterations=100000",
    )  # fmt: skip
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, cwd=tmp_path, env=ours(), **pipes) as process:
        wait_until(lambda: list(tmp_path.glob("r 4/cartpole/*/metrics.csv")), process=process)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = finish(process, 120)
    assert process.returncode == 130, errors
    [run] = [p.parent for p in tmp_path.glob("r 4/cartpole/*/config.json")]
    assert f"savanna train --resume cartpole/{run.name} --runs-root 'r 4'" in errors


def test_a_plan_of_one_seed_is_no_search():
    plan = plan_of("cartpole", "--seeds", "1", "--seed", "5")
    assert plan.seed == 5 and not plan.search
    with pytest.raises(UsageError):
        plan_of("cartpole", "--seeds", "0")
