"""`--config FILE`: options and settings from a file."""

import json
import re
from dataclasses import replace

import pytest
from command import ROOT
from plans import plan_of, request_of_words, saved

from savanna.api.keywords import request_of
from savanna.cli import main

FILE = """
experiment: gym
env: Acrobot-v1
algorithm: dqn
seed: 3
num-env-runners: 1
checkpoint_freq: 0
video: false
max_duration: 2h
stop: {none: true, return: -100, agent_steps: 5e5}
lr: 1e-4
epsilon: [[0, 1.0], [5000, 0.1]]
dueling: false
replay_buffer_config:
  capacity: 20000
model_config.fcnet_hiddens: [64, 64]
"""
WORDS = (
    "gym --env Acrobot-v1 --algorithm dqn --seed 3 --num-env-runners 1 --checkpoint-freq 0 "
    "--no-video --max-duration 2h --stop none --stop return=-100 --stop agent_steps=5e5 "
    "--set lr=1e-4 --set epsilon=[[0,1.0],[5000,0.1]] --set dueling=false "
    "--set replay_buffer_config.capacity=20000 --set model_config.fcnet_hiddens=[64,64]"
)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.yaml").write_text(FILE)
    return tmp_path


def test_a_file_says_what_options_say():
    assert request_of_words("--config", "settings.yaml") == request_of_words(*WORDS.split())


def test_the_same_from_python():
    asked = replace(request_of(None, {"config": "settings.yaml"}), own_process=True, command=())
    assert asked == request_of_words(*WORDS.split())
    asked = request_of("cartpole", {"config": "settings.yaml", "seed": 5, "overrides": {"lr": 1}})
    assert (asked.experiment, asked.seed, asked.overrides["lr"]) == ("cartpole", 5, 1)
    assert asked.overrides["dueling"] is False


def test_the_command_replaces_what_the_file_says():
    more = "cartpole --seeds 2 --set lr=1e-3 --stop return=-90 --video"
    request = request_of_words(*more.split(), "--config=settings.yaml")
    assert request.experiment == "cartpole" and request.env == "Acrobot-v1"
    assert (request.seed, request.seeds, request.video) == (None, 2, True)
    assert request.overrides["lr"] == 1e-3 and request.overrides["dueling"] is False
    assert request.stop == {"return": -90, "agent_steps": 5e5}
    assert request_of_words("--config", "settings.yaml", "--stop", "none").stop == {}


def test_a_search_space_in_a_file(here):
    (here / "search.yaml").write_text("lr: loguniform(1e-4, 1e-2)\nseeds: [1, 2]\n")
    request = request_of_words("cartpole", "--config", "search.yaml")
    assert request.search == {"lr": "loguniform(1e-4, 1e-2)"} and request.seeds == (1, 2)


@pytest.mark.parametrize(
    "words",
    [WORDS, "particle --algorithm ppo --num-agents 2 --film-every 50", "pong --set lr=1e-4"],
)
def test_the_settings_of_another_run(words, here):
    run = saved(here, *words.split())
    again = plan_of("--config", run.path / "config.json")
    assert again.config.to_dict().keys() == plan_of(*words.split()).config.to_dict().keys()
    first, second = (json.loads(json.dumps(c)) for c in (run.config, again.content))
    for content in (first, second):
        content["options"].pop("max_duration")
    assert first == second
    other = plan_of("--config", run.path / "config.json", "--seed", "9", "--set", "lr=0.5")
    assert other.seed == 9 and other.config.lr == 0.5


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lrr: 1", "--set lrr: unknown setting. Did you mean 'lr'?"),
        ("evaluate_episode: 3", "settings.yaml: unknown setting 'evaluate_episode'. Did you mean"),
        ("sed: 3", "settings.yaml: unknown setting 'sed'. Did you mean 'seed'?"),
        ("keep: many", "invalid int value: 'many'"),
        ("resume: latest", "settings.yaml: resume cannot be set in a file."),
        ("stop: 100", "stop: write rules and numbers, such as `stop: {return: 100}`."),
        ("stop: {retrun: 100}", "--stop retrun: unknown rule."),
        ("lr", "write names and values, such as `lr: 0.001`."),
        ("lr: [", "not YAML"),
        ("model_config: {fcnet_hidden: [3]}", "Did you mean 'model_config.fcnet_hiddens'?"),
        (None, "settings.yaml: No such file or directory"),
    ],
)
def test_what_is_wrong_in_a_file_is_one_line(text, says, here, capsys):
    (here / "settings.yaml").unlink()
    if text is not None:
        (here / "settings.yaml").write_text(text)
    words = ["train", "cartpole", "--config", "settings.yaml", "--address", "local", "--dry-run"]
    assert main(words) == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if not x.startswith("translated:")]
    assert len(lines) == 1 and says in lines[0], lines


def test_the_old_services_config_is_still_meant():
    assert request_of_words("--run", "PPO", "--config", '{"lr": 0.5}').overrides == {"lr": 0.5}


def test_the_pages_example(here):
    section = (ROOT / "docs" / "using.md").read_text().split("### Settings from a file")[1]
    (code,) = re.findall(r"```yaml\n(.*?)```", section, flags=re.DOTALL)
    (here / "acrobot.yaml").write_text(code)
    command = re.findall(r"^    savanna train (--config.*)$", section, flags=re.MULTILINE)[0]
    plan = plan_of(*command.split())
    assert plan.experiment.name == "gym" and plan.content["overrides"]
