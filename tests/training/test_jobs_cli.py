"""The job commands without a cluster: which cluster, checks before sending, files, nodes."""

import json
from dataclasses import replace

import pytest

from savanna.cli import main
from savanna.cli.submit import _split, may_help, retry_arguments, where
from savanna.errors import SavannaError, UsageError
from savanna.jobs.known_cluster import find_cluster
from savanna.jobs.staging import files_of, staged
from savanna.jobs.states import State
from savanna.ray_cluster.workers import wait_for_workers


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write_cluster(folder, **changes):
    (folder / "token").write_text("secret\n")
    content = {"name": "mine", "address": "http://127.0.0.1:9", "token_file": f"{folder}/token"}
    (folder / ".savanna").mkdir(exist_ok=True)
    (folder / ".savanna/cluster.json").write_text(json.dumps(content | changes))


def test_which_cluster(here, monkeypatch):
    with pytest.raises(UsageError, match=r"make cluster-up.*make tunnel"):
        find_cluster()
    write_cluster(here, results="/elsewhere")
    found = find_cluster()
    assert (found.name, found.results, found.token()) == ("mine", "/elsewhere", "secret")
    assert "secret" not in repr(found)
    other = find_cluster(address="http://host:1/", token_file=here / "token")
    assert (other.address, other.results) == ("http://host:1", "/results")
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://env:2")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(here / "token"))
    assert find_cluster().address == "http://env:2"
    assert find_cluster(here / ".savanna/cluster.json").name == "mine"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"token_file": "/nowhere/token"}, "cannot read the cluster's token file /nowhere/token"),
        ({"token_file": "empty"}, "token file empty is empty"),
        ({"address": ""}, "lacks address"),
    ],
)
def test_a_cluster_that_cannot_be_used(here, changes, says):
    (here / "empty").write_text("\n")
    write_cluster(here, **changes)
    with pytest.raises(UsageError, match=says):
        find_cluster()


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["submit", "pnog"], "Did you mean 'pong'?"),
        (["submit", "--sed", "3"], "unknown option '--sed', did you mean --seed?"),
        (["submit", "pong", "--keep", "0"], "--keep 0: must be at least 1"),
        (["submit", "pong", "--stop", "x=1"], "--stop x: unknown rule"),
        (["submit", "cartpole", "--set", "lrr=1"], "--set lrr: unknown setting"),
        (["submit", "--env", "PnogNoFrameskip-v4"], "Did you mean 'PongNoFrameskip-v4'"),
        (["submit", "--dry-run"], "submit has no --dry-run"),
        (["submit", "--runs-root=x"], "submit has no --runs-root"),
        (["submit", "--address", "auto"], "--address auto: give the URL"),
        (["submit", "--retries", "1"], "--retries needs --wait"),
        (["submit", "--wait", "--retries", "-1"], "--retries -1"),
        (["submit", "--py-modules", "nowhere.py"], "--py-modules nowhere.py: no such file"),
        (["submit", "--min-workers", "1"], "need --workers"),
        (["submit", "--workers", "1", "--min-workers", "2"], "--min-workers 2: must not be above"),
        (["submit", "--workers", "1", "--start-timeout", "soon"], "is not a duration"),
        (["train", "--workers", "1"], "Name the cluster with --address"),
        (["submit"], "make cluster-up"),
        (["status"], "make cluster-up"),
        (["logs", "j"], "make cluster-up"),
        (["stop", "j"], "make cluster-up"),
        (["wait", "j"], "make cluster-up"),
        (["fetch", "j"], "make cluster-up"),
        (["wait"], "required: JOB"),
        (["status", "--cluster", "nowhere.json"], "--cluster nowhere.json: no such file"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(argv, says, here, capsys):
    assert main(argv) == 2
    printed = capsys.readouterr()
    assert says in printed.err and len(printed.err.splitlines()) == 1, printed.err
    assert printed.out == "" and not (here / ".savanna").exists()


def test_no_answer_is_one_line_without_the_token(here, capsys):
    write_cluster(here)
    assert main(["status"]) == 1
    printed = capsys.readouterr()
    assert "the cluster mine at http://127.0.0.1:9 cannot be reached" in printed.err
    assert "secret" not in printed.err and len(printed.err.splitlines()) == 1


def test_options_of_the_job_are_not_passed_on():
    words = ["--results", "pong", "pong", "--wait", "--seed", "2", "--retries", "2", "--json"]
    own, train = _split(words)
    assert train == ["pong", "--seed", "2"]
    assert own == ["--results", "pong", "--wait", "--retries", "2", "--json"]


def test_retries_go_on_with_the_last_run_and_wait_for_its_workers():
    lost = State("failed", run="a/2", resumable=True)
    assert retry_arguments(["pong", "--seed", "1"], State("failed")) == ["pong", "--seed", "1"]
    given = ["--resume", "a/1", "--seed", "1"]
    assert retry_arguments(given, lost) == ["--seed", "1", "--resume", "a/2"]
    assert retry_arguments(["--resume=a/1"], lost) == ["--resume", "a/2"]
    assert given == ["--resume", "a/1", "--seed", "1"]
    assert retry_arguments(["pong"], replace(lost, run="a/1", resumable=False)) == ["pong"]
    two = replace(lost, workers=2)
    assert retry_arguments(["pong"], two) == ["pong", "--workers", "2", "--resume", "a/2"]
    several = replace(lost, group="20261121T120000Z-ab12")
    same = ["pong", "--seeds", "3", "--resume-group", "20261121T120000Z-ab12"]
    assert retry_arguments(["pong", "--seeds", "3"], several) == same
    assert retry_arguments(same, several) == same, "a retry that failed, too"
    own = ["pong", "--workers=1"]
    assert retry_arguments(own, two) == [*own, "--resume", "a/2"]


@pytest.mark.parametrize(
    ("train", "said"),
    [
        (["pong"], "from the start"),
        (["--resume", "a/2"], "from the last checkpoint of a/2"),
        (["--resume=a/1@3"], "from a/1@3"),
        (["pong", "--resume-group", "g"], "the runs of the group g that did not succeed"),
    ],
)
def test_it_is_said_where_a_retry_begins(train, said):
    state = State("failed", run="a/2", resumable=said.endswith("a/2"))
    assert where(retry_arguments(train, state), state) == said


@pytest.mark.parametrize(
    ("state", "before", "again"),
    [
        (State("succeeded"), None, False),
        (State("stopped", cause="SIGTERM"), None, False),
        (State("failed", cause="process 7 died"), None, True),
        (State("failed", cause="wrong option", exit_code=2), None, False),
        (State("failed", cause="a reward of nan", exit_code=1, for_good=True), None, False),
        (State("failed", cause="process 8 died"), State("failed", cause="process 7 died"), False),
        (State("failed", cause="no room"), State("failed", cause="process 7 died"), True),
        (State("failed", cause="died 8", run="a/1"), State("failed", cause="died 7"), True),
        (State("failed", cause="lost", lost=True), State("failed", cause="lost"), True),
    ],
)
def test_which_jobs_are_submitted_again(state, before, again):
    assert may_help(state, before) == again


def test_a_custom_environment_goes_along(here):
    (here / "game.py").write_text("x = 1")
    (here / "pack" / "__pycache__").mkdir(parents=True)
    (here / "pack" / "__init__.py").write_text("")
    (here / "pack" / "__pycache__" / "x.pyc").write_text("")
    (here / "other.py").write_text("")
    with staged(files_of(["game:Game"], [], here)) as folder:
        assert [p.name for p in folder.iterdir()] == ["game.py"]
    with staged(files_of(["pack.part:Game"], [here / "other.py"], here)) as folder:
        found = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
        assert found == ["other.py", "pack/__init__.py"]
    assert not folder.exists()
    assert files_of(["game:Game-v0"], [], here) == files_of(["game:Game"], [], here) != []
    assert files_of(["installed:Game"], [], here) == []
    assert files_of(["ALE/Pong-v5"], [], here) == []


def node(address, alive=True, head=False):
    resources = {"CPU": 1.0} | ({"node:__internal_head__": 1.0} if head else {})
    return {"NodeManagerAddress": address, "Alive": alive, "Resources": resources}


def test_waiting_for_workers():
    head, one, dead = node("1", head=True), node("2"), node("3", alive=False)
    states = [[head], [head], [head, one, dead], [head, one, node("4")]]
    seen = []

    def nodes():
        return states.pop(0) if len(states) > 1 else states[0]

    def changed(there, missing):
        seen.append((there, missing))

    assert wait_for_workers(2, 60, nodes, changed, interval=0) == ["2", "4"]
    assert seen == [([], 2), (["2"], 1)], "at first and at every change"
    assert wait_for_workers(1, 0, lambda: [head, one], changed) == ["2"]
    with pytest.raises(SavannaError, match=r"1 of 2 workers joined within 0 s: 2; 1 missing\."):
        wait_for_workers(2, 0, lambda: [head, one, dead], changed)
