"""How `savanna train` starts: what is known without Ray, and its worker processes as forks."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from command import ours, run, savanna, started
from waiting import gone, wait_until

from savanna.cli import main
from savanna.forks.start import context_of, is_plain
from savanna.runs.directory import RunDirectory
from savanna.session.startup import PHASES, Startup, TrialStartup, as_text


@pytest.fixture
def no_ray(monkeypatch, tmp_path):
    """An empty folder, and a Ray that must not be started."""
    import ray

    def refuse(*arguments, **options):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


def test_a_dry_run_starts_no_ray(no_ray, capsys, tmp_path):
    assert main(["train", "pong", "--dry-run", "--json", "--set", "lr=2e-4"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["rllib"]["lr"] == plan["overrides"]["lr"] == 2e-4
    assert plan["resources"]["cpus"] == len(os.sched_getaffinity(0))
    assert plan["resources"]["env_runners"] == max(1, plan["resources"]["cpus"] - 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["pong", "--num-gpus", "8"], "GPUs requested: 8, available: 0."),
        (["pong", "--num-env-runners", "500"], "500 env runners need 501 CPUs"),
        (["pong", "--set", "ler=1"], "--set ler: unknown setting. Did you mean 'lr'?"),
        (["pong", "--set", "gamma=fast"], "--set gamma=fast: expected a number"),
        (["pong", "--set", "env_config.frame_siez=84"], "Did you mean 'env_config.frame_size'?"),
        (["pong", "--set", "model_config.encoder=huge"], "encoder must be one of small"),
        (["pong", "--set", "lr=uniform(3,1)"], "3 to 1 is not a valid range"),
        (["cartpole", "--address", "127.0.0.1:1"], "could not join the Ray cluster"),
        (["cartpole", "--address", "127.0.0.1:1", "--dry-run"], "could not join the Ray cluster"),
    ],
)
def test_what_is_wrong_is_one_line_before_ray_starts(arguments, says, no_ray, capfd, tmp_path):
    assert main(["train", *arguments]) in (1, 2)
    lines = [x for x in capfd.readouterr().err.splitlines() if x.startswith("savanna:")]
    assert len(lines) == 1 and says in lines[0], lines
    assert not list(tmp_path.glob("runs/*/*/config.json"))


def test_a_run_says_where_its_start_took_how_long(trained):
    told = RunDirectory.find("latest", trained / "runs").metadata["startup"]
    assert list(told) == [*PHASES, "total"]
    assert told["total"] == pytest.approx(sum(told[phase] for phase in PHASES), abs=0.1)
    assert all(told[phase] >= 0 for phase in PHASES) and told["imports"] > 0
    assert "first update" not in (trained / "stderr").read_text(), "nobody asked"


def test_debug_shows_where_the_start_took_how_long(tmp_path):
    result = savanna(
        "train",
        "cartpole",
        "--debug",
        "--stop",
        "iterations=1",
        "--num-env-runners",
        "0",
        "--evaluate-episodes",
        "0",
        "--no-video",
        "--no-report",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    told = RunDirectory.find("latest", tmp_path / "runs").metadata["startup"]
    [line] = [x for x in result.stderr.splitlines() if x.startswith("first update")]
    assert line == as_text(told) and "imports" in line


def test_the_first_update_is_noted_once():
    class Group:
        calls = 0

        def update(self, **options):
            self.calls += 1
            return options

    class algorithm:
        learner_group = Group()

    trial = TrialStartup()
    trial.built(algorithm)
    assert trial.take() == {}, "nothing has been learned"
    assert algorithm.learner_group.update(x=1) == {"x": 1}
    assert algorithm.learner_group.update(x=2) == {"x": 2} and algorithm.learner_group.calls == 2
    [ends] = trial.take().values()
    assert list(ends) == list(PHASES[-3:]) and trial.take() == {}
    assert list(Startup().seconds(ends)) == [*PHASES[-3:], "total"]


ACTORS = """
import os, sys
from savanna.experiments import Machine
from savanna.ray_cluster.runtime import own_ray, prepare
prepare("PPO", None)
sys.modules["torch"].set_num_threads(2)  # as where there are two cores
with own_ray(Machine(cpus=2, gpus=0), fork=True):
    import ray
    @ray.remote(runtime_env={"env_vars": {"GIVEN": "here-$HOME"}})
    class Actor:
        def look(self):
            import random, numpy
            from ray._raylet import UniqueID
            return {"pid": os.getpid(), "parent": os.getppid(), "given": os.environ["GIVEN"],
                    "ready": "ray.rllib.algorithms.ppo.ppo" in sys.modules,
                    "threads": "torch" in sys.modules and sys.modules["torch"].get_num_threads(),
                    "drawn": [random.random(), float(numpy.random.rand()),
                              UniqueID.from_random().hex()]}
    if sys.argv[1] == "gone":
        os.unlink(os.environ["SAVANNA_WORKER_TEMPLATE"])
    actors = [Actor.remote() for _ in range(2)]
    import json
    found = ray.get([actor.look.remote() for actor in actors])
    print(json.dumps([os.getpid(), *found]), flush=True)
    if sys.argv[1] == "wait":
        sys.stdin.read()
"""


def test_worker_processes_are_forks_with_what_was_imported():
    result = run([sys.executable, "-c", ACTORS, "end"], env=ours(), check=True)
    _, one, other = json.loads(result.stdout.splitlines()[-1])
    assert one["parent"] == other["parent"] != 1 and one["ready"] and other["ready"]
    assert one["threads"] == other["threads"] == 1, "as Ray has it for workers of one CPU"
    assert one["given"] == f"here-{os.environ['HOME']}"
    assert all(a != b for a, b in zip(one["drawn"], other["drawn"], strict=True))
    pids = [one["pid"], other["pid"], one["parent"]]
    wait_until(lambda: all(map(gone, pids)), "the forks have ended")


def test_without_the_template_they_start_as_always():
    result = run([sys.executable, "-c", ACTORS, "gone"], env=ours(), check=True)
    _, one, other = json.loads(result.stdout.splitlines()[-1])
    assert one["given"] == other["given"] == f"here-{os.environ['HOME']}"


def test_no_fork_is_left_where_the_command_is_killed():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with started([sys.executable, "-c", ACTORS, "wait"], env=ours(), **pipes) as process:
        pid, *actors = json.loads(process.stdout.readline())
        template = psutil.Process(actors[0]["parent"])
        forks = [template, *template.children(recursive=True)]
        assert {each.pid for each in forks} >= {actor["pid"] for actor in actors}
        assert template.ppid() == pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(gone(each.pid) for each in forks), "all forks have ended")


DRAWN = """
import sys
from savanna.forks.template import draws_differ, import_ray
import_ray()
import ray
if sys.argv[1] == "before":
    from ray._raylet import UniqueID
    UniqueID.from_random()
@ray.remote
class Actor:
    pass
print(draws_differ())
"""


@pytest.mark.parametrize(("before", "differ"), [("nothing", "True"), ("before", "False")])
def test_forks_that_would_name_things_alike_are_found_out(before, differ):
    result = run([sys.executable, "-c", DRAWN, before], env=ours(), check=True)
    assert result.stdout.strip() == differ


CONTEXT = {
    "command_prefix": [],
    "env_vars": {"A": "1"},
    "py_executable": sys.executable,
    "override_worker_entrypoint": None,
    "java_jars": [],
}


@pytest.mark.parametrize(
    ("change", "plain"),
    [
        ({}, True),
        ({"py_executable": "/other/python"}, False),
        ({"env_vars": {}}, True),
        ({"command_prefix": ["cd", "x", "&&"]}, False),
        ({"override_worker_entrypoint": "x"}, False),
    ],
)
def test_who_wants_more_is_no_fork(change, plain):
    word = f"--serialized-runtime-env-context={json.dumps(CONTEXT | change)}"
    assert is_plain(context_of(["worker.py", word, "--language=PYTHON"])) == plain
    assert is_plain(context_of(["worker.py"]))


def test_the_script_that_ray_runs_is_there():
    from savanna.forks import template

    assert Path(template.__file__).with_name("start.py") == template._START
    assert template._START.is_file()
