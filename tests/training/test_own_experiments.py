"""The user's own experiments: `my_file.py` and `module:NAME`."""

import shutil
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from command import python, savanna
from pages import commands_of, files_of
from plans import plan_of, request_of_words

from savanna.api.keywords import request_of
from savanna.cli import main
from savanna.cli.train_options import arguments
from savanna.experiments import get_experiment
from savanna.jobs.staging import files_of as sent_files
from savanna.runs.directory import RunDirectory

PAGE = "own-experiments.md"
QUICK = ("--no-video", "--no-report", "--evaluate-episodes", "0")
FEW = (*QUICK, "--stop", "none", "--stop", "iterations=1")
FILE = """
from dataclasses import replace
from savanna.experiments import Experiment
from savanna.experiments.cartpole import CARTPOLE, build_config

ONE = Experiment(name="one", summary="", algorithm="PPO", env="CartPole-v1", build_config={build})
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the page's files, in which the command is called."""
    monkeypatch.chdir(tmp_path)
    files_of(PAGE, tmp_path)
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)) or name == "more":
            del sys.modules[name]


def test_the_pages_commands_run(tmp_path):
    """In their order, as with the installed command; each training is a short one."""
    assert files_of(PAGE, tmp_path) == ["my_experiment.py", "my_dqn.py"]
    commands = [words for words in commands_of(PAGE) if words[0] == "train"]
    assert len(commands) == 4
    for words in commands:
        resumed = "--resume" in words
        few = ("--stop", "iterations=2") if resumed else (*QUICK, "--stop", "iterations=1")
        result = savanna(*words, *few, cwd=tmp_path, PYTHONSAFEPATH="1")
        assert result.returncode == 0, (words, result.stderr)
    runs = [RunDirectory(path) for path in (tmp_path / "runs" / "wide").iterdir()]
    assert len(runs) == 3
    widths = sorted(run.config["rllib"]["_model_config"]["width"] for run in runs)
    assert widths == [64, 64, 128]
    newest = RunDirectory.find("latest", tmp_path / "runs")
    assert len(newest.metrics()) == 2 and newest.config["source"] == "my_experiment:WIDE"
    for words in (["evaluate", "latest", "--episodes", "2"], ["export", "latest"]):
        result = savanna(*words, cwd=tmp_path, PYTHONSAFEPATH="1")
        assert result.returncode == 0, result.stderr


def test_an_algorithm_of_rllibs_in_an_own_experiment(tmp_path):
    files_of(PAGE, tmp_path)
    small = (
        "num_steps_sampled_before_learning_starts=100",
        "min_sample_timesteps_per_iteration=300",
    )
    words = [word for setting in small for word in ("--set", setting)]
    result = savanna("train", "my_dqn.py", *words, *FEW, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    [row] = RunDirectory.find("latest", tmp_path / "runs").metrics()
    assert row["episodes_total"] > 0 and row["agent_steps_trained"] > 0


def test_from_python(here):
    (here / "train.py").write_text(
        "import json, my_experiment, savanna\n"
        "few = dict(stop={'iterations': 1}, keep_default_stop=False, video=False, report=False,\n"
        "           evaluate_episodes=0, num_env_runners=1)\n"
        "run = savanna.train(my_experiment.WIDE, **few)\n"
        "print(run.config['source'], len(run.metrics()))\n"
    )
    done = python(here / "train.py", cwd=here)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "my_experiment:WIDE 1"
    assert request_of("my_experiment.py", {}).experiment == "my_experiment.py"


def test_settings_reach_its_network(here):
    plan = plan_of("my_experiment.py", "--set", "model_config.width=16")
    assert plan.experiment.name == "wide" and plan.content["source"] == "my_experiment:WIDE"
    assert plan.config.model_config["width"] == 16
    assert plan.stop == {"return": 195, "seconds": 300}


def test_the_option_is_the_same_as_the_argument(here):
    for words in (["--experiment", "my_experiment.py"], ["--experiment=my_experiment:WIDE"]):
        request = request_of_words(*words, "--seed", "3")
        assert get_experiment(request.experiment).name == "wide" and request.seed == 3
    assert arguments(["--seed", "3", "--experiment", "pong"])[0] == "pong"


MISTAKES = {
    "nowhere.py": "no file nowhere.py in",
    "my_experimant.py": "Did you mean 'my_experiment.py'?",
    "my_experiment": "Did you mean 'my_experiment.py'?",
    "my_experiment:WIDER": "'my_experiment' has no 'WIDER'. Did you mean 'WIDE'?",
    "my_experiment:Wide": "my_experiment:Wide is not an Experiment (its type is",
    "nowhere:WIDE": "no module 'nowhere' (the experiment nowhere:WIDE) in",
    "../outside.py": "is outside this folder",
    "my-file.py": "letters, digits and _ only",
    "empty.py": "empty.py has no Experiment: make one with",
    "two.py": "Name one of them: two:ONE or two:TWO.",
    "syntax.py": "importing 'syntax' for the experiment syntax.py failed: SyntaxError",
    "lacks.py": "No module named 'nothing_there' (lacks.py, line 1)",
    "raises.py": "raises:ONE: build_config failed: KeyError: 'gamma'",
    "none.py": "none:ONE: build_config returned a NoneType",
    "taken.py": "taken:ONE: Savanna has an experiment 'pong'. Rename it.",
    "odd.py": "its name 'a/b' cannot be a folder's",
    "json.py": "json.py: the module 'json' is",
    "wide.py --experiment my_experiment.py": "both name the experiment. Give only one.",
    "my_experiment.py --algorithm dqn": "the experiment wide has no such algorithm. It has: ppo.",
    "my_experiment.py --set model_config.widht=3": "Did you mean 'model_config.width'?",
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line_before_anything_starts(words, here, capsys):
    usual = FILE.format(build="build_config")
    texts = {
        "my-file": usual,
        "empty": "from savanna.experiments.cartpole import CARTPOLE\n",
        "two": usual + "TWO = replace(ONE, name='two')\n",
        "syntax": "ONE = (\n",
        "lacks": "import nothing_there\n",
        "raises": FILE.format(build="lambda env, machine: {}['gamma']"),
        "none": FILE.format(build="lambda env, machine: None"),
        "taken": usual.replace('name="one"', 'name="pong"'),
        "odd": usual.replace('name="one"', 'name="a/b"'),
        "json": usual,
    }
    for name, text in texts.items():
        (here / f"{name}.py").write_text(text)
    (here.parent / "outside.py").write_text(usual)
    assert main(["train", *words.split(), "--address", "local", "--dry-run"]) == 2
    printed = capsys.readouterr()
    assert MISTAKES[words] in printed.err and len(printed.err.splitlines()) == 1, printed.err
    assert printed.out == "" and not (here / "runs").exists()


def test_a_run_whose_file_is_gone_says_what_is_missing(tmp_path):
    files_of(PAGE, tmp_path)
    assert savanna("train", "my_experiment.py", *FEW, cwd=tmp_path).returncode == 0
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "runs", elsewhere / "runs", symlinks=True)
    for words in (("train", "--resume", "latest"), ("evaluate", "latest"), ("export", "latest")):
        result = savanna(*words, cwd=elsewhere)
        assert result.returncode in (1, 2)
        [line] = [x for x in result.stderr.splitlines() if x.startswith("savanna:")]
        assert "module 'my_experiment'" in line and str(elsewhere) in line
        assert "Run savanna in its folder." in line
    result = savanna("train", "cartpole", "--resume", "latest", cwd=tmp_path)
    assert result.returncode == 2 and "which has my_experiment:WIDE" in result.stderr


def test_submit_sends_its_file_and_its_environments(here, monkeypatch):
    (here / "my_env.py").write_text("")
    names = ["my_experiment:WIDE", "my_env:Env", "CartPole-v1", None]
    sent = sent_files(names, [], here)
    assert sorted(path.name for path in sent) == ["my_env.py", "my_experiment.py"]

    jobs = Mock()
    jobs.client.cluster.name = jobs.address = "mine"

    def submit(name, words, folder, say):
        jobs.got = name, words, [path.name for path in folder.iterdir()]
        return "job"

    jobs.submit = submit
    monkeypatch.setattr("savanna.cli.submit.open_jobs", lambda options: jobs)
    assert main(["submit", "--seed", "3", str(here / "my_experiment.py"), "--json"]) == 0
    name, words, files = jobs.got
    assert (name, files) == ("wide", ["my_experiment.py"])
    assert words == ["--seed", "3", "my_experiment:WIDE"]


def test_a_file_in_a_folder(here):
    (here / "more").mkdir()
    Path("my_experiment.py").rename("more/inside.py")
    experiment = get_experiment("more/inside.py")
    assert (
        experiment.source == "more.inside:WIDE" and get_experiment(experiment.source) == experiment
    )
    assert [path.name for path in sent_files([experiment.source], [], here)] == ["more"]
