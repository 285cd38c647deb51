"""Continuing those runs of a command that did not succeed."""

import json
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock, patch

import pytest
from command import savanna
from plans import request_of_words

from savanna.cli import main
from savanna.errors import UsageError
from savanna.planning.checks import check_early
from savanna.planning.search_space import draws, parse_search_space
from savanna.runs import stored
from savanna.runs.directory import RunDirectory
from savanna.runs.owner import FILE
from savanna.session.command import train
from savanna.session.resumed_group import ResumedGroup
from savanna.session.session import Session
from savanna.session.tune import DRAWN

QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report", "--stop", "none")


def test_those_that_succeeded_are_left_alone_and_the_others_go_on(tmp_path):
    shutil.copy(Path(__file__).with_name("stuck_envs.py"), tmp_path)
    settings = ("train_batch_size_per_learner=200", "minibatch_size=50", "env_config.after=110")
    settings += (f"env_config.folder={tmp_path}", "num_envs_per_env_runner=2")
    words = [word for setting in settings for word in ("--set", setting)]
    few = ("--num-env-runners", "0", "--seeds", "3", "--checkpoint-freq", "1")
    command = ("train", "gym", "--env", "stuck_envs:Fails", *QUICK, *few, *words)
    command += ("--stop", "iterations=3")

    first = savanna(*command, cwd=tmp_path)
    assert first.returncode == 1 and first.stderr.count("the wheel fell off") == 1
    assert first.stderr.count("(2 of 3 seeds)") == 1, "the table is shown once"
    before = {run.config["seed"]: run for run in runs_of(tmp_path)}
    [failed] = [seed for seed, run in before.items() if run.status["state"] == "failed"]
    gone, done = sorted({0, 1, 2} - {failed})
    shutil.rmtree(before[gone].path)

    again = savanna(*command, "--resume-group", "latest", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    after = {run.config["seed"]: run for run in runs_of(tmp_path)}
    assert after[failed] == before[failed] and after[done] == before[done]
    assert {seed: run.status["session"] for seed, run in after.items()} == {
        failed: 2,
        done: 1,
        gone: 1,
    }
    for run in after.values():
        assert run.status["state"] == "succeeded"
        assert [row["iteration"] for row in run.metrics()] == [1, 2, 3]
    assert again.stderr.count("(3 seeds)") == 1
    assert "the wheel fell off" in (after[failed].path / "train-1.log").read_text()
    [name] = {run.config["options"]["group"]["name"] for run in after.values()}
    assert after[failed].metadata["resumed_from"] == f"gym/{after[failed].id}"

    nothing = savanna(*command, "--resume-group", name, cwd=tmp_path)
    assert nothing.returncode == 0 and "have succeeded" in nothing.stderr
    assert len(runs_of(tmp_path)) == 3


def runs_of(folder: Path) -> list[RunDirectory]:
    return [RunDirectory(p.parent) for p in sorted(folder.glob("runs/gym/*/config.json"))]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--resume-group", "x"], "give the options of the command that made the group"),
        (["--seeds", "2", "--resume-group", "x"], "no such group"),
    ],
)
def test_a_group_that_cannot_go_on_is_refused_in_one_line(
    words, says, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "cartpole", "--address", "local", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert any(says in line for line in lines)
    assert not list(tmp_path.glob("runs/*/*"))


def test_one_run_or_a_group_is_continued():
    with pytest.raises(UsageError, match="--resume-group .* and --resume one: give only one"):
        check_early(request_of_words("cartpole", "--resume", "x", "--resume-group", "y"))


def test_trials_that_are_done_are_not_drawn():
    search = draws(0, lambda trial: trial.config[DRAWN]["seed"] == 2)
    space = {"seed": parse_search_space("seed", "grid(1,2,3)")}
    search.add_configurations({"x": {"run": "PPO", "config": {DRAWN: space}, "num_samples": 1}})
    found = []
    while trial := search.next_trial():
        found.append(json.dumps(trial.config[DRAWN]))
    assert found == ['{"seed": 1}', '{"seed": 3}']


GROUP = "20260301T080000Z-ab12"


def add(root, drawn, state="failed", *, name=GROUP, stamp="20260301T080000Z", **status):
    """The run of `train cartpole` that drew this; it has no checkpoint."""
    run = RunDirectory(root / "cartpole" / f"{stamp}-s{drawn.get('seed', 0)}-{len(drawn)}")
    while run.path.exists():
        run = RunDirectory(run.path.with_name(f"{run.id}0"))
    run.path.mkdir(parents=True)
    settings = {key: value for key, value in drawn.items() if key != "seed"}
    run.write_json(
        "config.json",
        {
            "experiment": "cartpole",
            "env": "CartPole-v1",
            "overrides": {"gamma": 0.9, **settings},
            "options": {"runs": 3, "group": {"name": name, "drawn": drawn}},
        },
    )
    run.write_json("status.json", {"state": state, "session": 1, **status})
    return run


def group_of(root, *words, reference="latest") -> tuple[ResumedGroup, ExitStack]:
    given = request_of_words(*words, "--resume-group", reference, "--runs-root", root)
    stack = ExitStack()
    with stack:
        group = ResumedGroup(given, stack)
        stack = stack.pop_all()
    return group, stack


SAME = ("cartpole", "--set", "gamma=0.9", "--seeds", "3")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("pong", *SAME[1:]), "its runs have experiment cartpole, this command pong"),
        ((*SAME, "--env", "Acrobot-v1"), "its runs have --env CartPole-v1, this command Acrobot"),
        (("cartpole", "--seeds", "3"), "its runs have --set gamma 0.9, this command none"),
        ((*SAME, "--set", "lr=0.1"), "its runs have --set lr none, this command 0.1"),
        ((*SAME, "--set", "lr=grid(1e-4,1e-3)"), "does not draw the values of .* (no search)"),
        ((*SAME[:3], "--seeds", "7,8"), "this command has none of its seeds (0, 1)"),
    ],
)
def test_another_command_is_refused_before_it_changes_anything(words, says, tmp_path):
    run = add(tmp_path, {"seed": 0})
    add(tmp_path, {"seed": 1})
    run.stop_request.touch()
    pattern = says.replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(UsageError, match=f"(?m)^--resume-group {GROUP}: .*{pattern}.*[.]$"):
        group_of(tmp_path, *words)
    assert run.stop_request.exists() and not (run.path / FILE).exists()


def test_another_search_is_refused(tmp_path):
    add(tmp_path, {"lr": 1e-4})
    words = [*SAME[:3], "--set", "lr=grid(1e-3,1e-2)"]
    with pytest.raises(UsageError, match=r"does not draw the values of .* \(lr=0.0001\)"):
        group_of(tmp_path, *words)
    group, stack = group_of(tmp_path, *words[:-1], "lr=grid(1e-4,1e-2)")
    with stack:
        assert not group.is_complete and len(group.owners) == 1


def test_a_command_can_ask_for_more_or_fewer_seeds(tmp_path):
    done = [add(tmp_path, {"seed": seed}, "succeeded") for seed in range(3)]
    failed = add(tmp_path, {"seed": 3})
    fewer, stack = group_of(tmp_path, *SAME)
    with stack:
        assert fewer.is_complete and fewer.done == done and not fewer.owners
    more, stack = group_of(tmp_path, *SAME[:3], "--seeds", "8")
    with stack:
        assert not more.is_complete and [*more.owners] == [failed]
        assert [more.take({"seed": seed}) for seed in range(5)] == [*done, failed, None]


def test_the_runs_asked_for_are_done(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    add(tmp_path / "runs", {"seed": 0}, "succeeded")
    add(tmp_path / "runs", {"seed": 1}, "succeeded")
    add(tmp_path / "runs", {"seed": 2})
    words = ("--set", "gamma=0.9", "--seeds", "2", "--resume-group", "latest")
    assert main(["train", "cartpole", "--address", "local", *words]) == 0
    assert f"All runs of the group {GROUP} that were asked for have" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["runs", "storage"])
def test_a_dry_run_says_what_is_left_and_changes_nothing(where, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    add(tmp_path / where, {"seed": 0}, "succeeded")
    failed = add(tmp_path / where, {"seed": 1})
    before = sorted(tmp_path.rglob("*"))
    more = ("--storage", tmp_path / "storage") if where == "storage" else ()
    words = ("train", *SAME, "--resume-group", "latest", "--dry-run", "--address", "local", *more)
    assert main([*map(str, words)]) == 0
    left = f"1 of 2 runs have succeeded; goes on with {failed.id}; adds 1 more."
    assert left in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before
    assert main([*map(str, words), "--set", "lr=0.1"]) == 2


def test_runs_in_the_storage_are_brought_here(tmp_path, monkeypatch):
    here, there = tmp_path / "runs", tmp_path / "storage"
    stale = add(here, {"seed": 0}, session=1, started_by="here")
    add(there, {"seed": 0}, "succeeded", session=2, started_by="there")
    add(there, {"seed": 1}, "succeeded")
    add(there, {"seed": 2}, stamp="20260302T090000Z")  # which an earlier --resume-group began
    add(there, {"seed": 0}, name="20250301T080000Z-cd34", stamp="20250301T080000Z")
    group, stack = group_of(here, *SAME, "--storage", there)
    with stack:
        assert group.name == GROUP
        assert sorted(run.config["options"]["group"]["drawn"]["seed"] for run in group.done) == [
            0,
            1,
        ]
        assert [run.id[:15] for run in group.owners] == ["20260302T090000"]
        assert stale.status["started_by"] == "there"
    assert len(list(here.glob("cartpole/2*"))) == 3, "the other group stays there"

    group, stack = group_of(tmp_path / "new", *SAME, "--storage", there, reference="202603")
    stack.close()
    assert group.name == GROUP
    with pytest.raises(UsageError, match=f"^--resume-group 202[.]: no .*{there}.*{GROUP}"):
        group_of(tmp_path / "newer", *SAME, "--storage", there, reference="202.")


def test_a_run_in_the_storage_that_another_machine_writes_is_refused(tmp_path, monkeypatch):
    there = tmp_path / "storage"
    run = add(there, {"seed": 0})
    seen = iter(range(10**9, 10**10))
    monkeypatch.setattr(stored, "PUSH_SECONDS", -7.0)  # a second of patience
    monkeypatch.setattr(time, "time", lambda: 10**9)

    def read(location, name):
        owner = {"id": "x", "host": "elsewhere", "pid": 7, "since": "noon", "seen": next(seen)}
        return json.dumps(owner) if name.endswith(FILE) else None

    monkeypatch.setattr(stored, "read_from_storage", read)
    with pytest.raises(UsageError, match="process 7 on elsewhere"):
        group_of(tmp_path / "runs", *SAME, "--storage", there)
    assert not list(tmp_path.glob("runs/*/2*")) and run.path.exists()


def test_an_error_names_the_option(tmp_path):
    with pytest.raises(UsageError, match="^--resume-group x: no such group"):
        group_of(tmp_path, *SAME, reference="x")


def test_runs_of_earlier_commands_count_as_started(tmp_path):
    for seed, state in enumerate(("succeeded", "failed", "failed")):
        add(tmp_path, {"seed": seed}, state)
    group, stack = group_of(tmp_path, *SAME)
    shown = Mock()
    with stack, patch("savanna.session.session.show_group", shown):
        now = Mock(run=next(iter(group.owners)))  # the last one's turn did not come
        session = Mock(_records=[now], group=group, _cut_off=True)
        Session.finish(session)
    assert [run.id for run in shown.call_args[0][0]] == [run.id for run in group.runs]
    assert len(group.runs) == 3


def test_a_run_that_waited_for_its_retry_says_why_it_stopped():
    record = Mock(fulfilled=False, reason=None)
    Session._settle(Mock(stop=Mock(failure=None, step=0, reason="SIGTERM")), record, None)
    record.write_status.assert_called_once_with("stopped", "SIGTERM")


@pytest.mark.parametrize("storage", [True, False])
def test_workers_are_not_forked_once_the_storage_was_open(storage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    add(tmp_path / "runs", {"seed": 0})
    words = ("--storage", str(tmp_path / "storage")) if storage else ()
    own_ray = Mock(side_effect=UsageError("far enough"))
    monkeypatch.setattr("savanna.session.command.own_ray", own_ray)
    given = request_of_words(*SAME, "--resume-group", "latest", "--num-env-runners", "0", *words)
    with pytest.raises(UsageError, match="far enough"):
        train(given)
    assert own_ray.call_args.kwargs["fork"] is not storage
