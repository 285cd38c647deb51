"""When a run of a particle world ends: which target return applies, and on which scale."""

import json

import pytest
from command import savanna
from plans import plan_of, saved

from savanna.cli.particle import MAX_TIME
from savanna.errors import UsageError


@pytest.fixture(autouse=True)
def no_limit(monkeypatch):
    monkeypatch.delenv(MAX_TIME, raising=False)


@pytest.mark.parametrize("experiment", ["particle", "particle-ppo", "particle-ippo"])
@pytest.mark.parametrize(
    "words",
    [
        "",
        "--num-agents 3 --max-episode-len 25 --set env_config.local_ratio=0.5",
        "--scenario simple_spread --num-adversaries 0 --set lr=1e-3",
    ],
)
def test_the_presets_own_world_has_its_target(experiment, words):
    plan = plan_of(experiment, *words.split())
    assert plan.stop == {"return": pytest.approx(-175 / 6), "seconds": 7200}
    assert plan.notes == []


@pytest.mark.parametrize(
    "words",
    [
        "--num-agents 5",
        "--max-episode-len 50",
        "--set env_config.max_cycles=10",
        "--set env_config.local_ratio=0.3",
        "--set env_config.num_agents=2",
        "--scenario simple_tag",
        "--set env_config.max_cycles=grid(25,50)",
    ],
)
def test_another_world_trains_without_it_and_says_so(words):
    """-29.17 ends a run with two agents before it has learned anything."""
    plan = plan_of("particle", *words.split())
    assert dict(plan.stop) == {"seconds": 7200}
    [note] = plan.notes
    assert "no target return" in note and "simple_spread with 3 agents, 25 steps" in note


def test_a_target_of_ones_own_holds_in_any_world():
    plan = plan_of("particle", "--num-agents", "5", "--stop", "return=-60")
    assert plan.stop["return"] == -60 and plan.notes == []


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("", (-400 + 225) / 6),
        ("--num-agents 5", (-400 + 25 * 25) / 10),
        ("--set env_config.num_agents=5", (-400 + 25 * 25) / 10),
        ("--max-episode-len 50", (-400 + 9 * 50) / 6),
        ("--set env_config.max_cycles=50", (-400 + 9 * 50) / 6),
        ("--set env_config.local_ratio=0.5", (-400 + 225) / 6),
    ],
)
@pytest.mark.parametrize("rule", ["--final-reward -400", "--stop old_return=-400"])
def test_a_return_of_the_old_service_is_read_on_the_scale_of_the_world(words, target, rule):
    plan = plan_of("particle", *rule.split(), *words.split())
    assert dict(plan.stop) == {"return": pytest.approx(target), "seconds": 7200}
    assert plan.shown()["target"]["old_return"] == pytest.approx(-400)


@pytest.mark.parametrize(
    "words",
    [
        "particle --scenario simple_tag",
        "particle --set env_config.local_ratio=0.3",
        "particle --set env_config.num_agents=choice(2,3)",
    ],
)
def test_where_the_old_scale_is_not_known_that_is_said(words):
    with pytest.raises(UsageError, match=r"-400: cannot convert the old service's returns"):
        plan_of(*words.split(), "--final-reward", "-400")


def test_a_resumed_run_reads_the_old_scale_of_its_own_world(tmp_path):
    run = saved(tmp_path, "particle", "--set", "env_config.max_cycles=50", "--num-agents", "4")
    plan = plan_of("--resume", "x", "--final-reward", "-400", resumed=run)
    assert plan.stop["return"] == pytest.approx((-400 + 16 * 50) / 8)


def test_a_resumed_run_keeps_its_target_only_in_its_own_world(tmp_path):
    run = saved(tmp_path, "particle")
    assert "return" in plan_of("--resume", "x", resumed=run).stop
    longer = plan_of("--resume", "x", "--set", "env_config.max_cycles=50", resumed=run)
    assert dict(longer.stop) == {"seconds": 7200}


def test_a_dry_run_shows_target_actions_and_films(tmp_path):
    result = savanna("train", "particle", "--dry-run", "--film-every", "50", cwd=tmp_path)
    lines = result.stdout.splitlines()
    assert "target       return -29.1667 (-400 on the retired service's scale)" in lines
    assert "actions      continuous" in lines
    assert "films        every 50 episodes per world" in lines


def test_a_dry_run_says_so_for_scripts_too(tmp_path):
    words = ("--num-agents", "5", "--actions", "discrete", "--no-video")
    result = savanna("train", "particle", *words, "--dry-run", "--json", cwd=tmp_path)
    plan = json.loads(result.stdout)
    assert plan["target"] is None and "no target return" in plan["notes"][0]
    assert plan["actions"] == "discrete" and plan["film_every"] == 0
