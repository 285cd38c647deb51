"""A real head and two workers: joining, jobs on all of them, losses, scaling."""

import json
import urllib.error
import urllib.request

import pytest
from command import finish, ours, savanna_command, started
from container_cluster import NAME, PONG, PORT
from docker_engine import docker
from small_pong import SMALL

from infra.facts import facts

# Letters distinguish the nodes: if lines from several processes differ only in words with digits,
# Ray shows the first and only now and then the last.
WALK = """
import gymnasium as gym, numpy as np, socket, time
class Walk(gym.Env):
    observation_space = gym.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        node = socket.gethostname().translate(str.maketrans('12', 'ab'))
        print('walking on', node, flush=True)
        self.t = 0
        return np.zeros(1, np.float32), {}
    def step(self, action):
        self.t += 1
        time.sleep(0.001)
        return np.zeros(1, np.float32), float(action), self.t == 500, False, {}
"""


def ids():
    listed = docker("ps", "-aq", "--no-trunc", "--filter", f"label=savanna.cluster={NAME}")
    return sorted(listed.stdout.split())


def test_up_twice_is_up_once(cluster):
    before = ids()
    said = cluster.up()
    assert ids() == before and len(before) == 3
    assert "creating" not in said and "all 3 nodes have joined" in said
    assert "savanna submit pong" in said, "the next command is missing"


def test_status_shows_every_node(cluster):
    result = cluster.local("status", "--json")
    rows = json.loads(result.stdout)
    assert result.returncode == 0
    assert [row["node"] for row in rows] == [
        f"{NAME}-{n}" for n in ("head", "worker-1", "worker-2")
    ]
    assert all(row["joined"] for row in rows) and [row["cpus"] for row in rows] == [2, 1, 1]
    assert "joined" in cluster.local("status").stdout


def test_other_settings_are_refused_with_a_reason(cluster):
    result = cluster.local("up", "--worker-memory", "2g")
    assert result.returncode == 1 and "exists with other settings" in result.stderr


def test_only_loopback_reaches_it_and_only_with_the_token(cluster):
    token = (cluster.folder / f".savanna/{NAME}.token").read_text().strip()
    assert (cluster.folder / f".savanna/{NAME}.token").stat().st_mode & 0o77 == 0
    for container in ids():
        text = docker("inspect", container).stdout
        assert token not in text
        ports = json.loads(text)[0]["NetworkSettings"]["Ports"] or {}
        assert {b["HostIp"] for bound in ports.values() for b in bound or []} <= {"127.0.0.1"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{PORT}/api/jobs/", timeout=10)
    assert refused.value.code == 401
    (cluster.folder / "wrong").write_text("0" * 64)
    other = cluster.savanna("status", "--token-file", "wrong")
    assert other.returncode == 1 and "refused the token" in other.stderr


def test_pong_samples_on_all_three_nodes(cluster):
    job = cluster.submit(
        *PONG,
        "--stop",
        "iterations=2",
        "--checkpoint-freq",
        "1",
        "--storage",
        "/results/kept",
        "--workers",
        "2",
        "--wait",
    )
    shares = cluster.savanna("fetch", job)
    assert shares.returncode == 0, shares.stderr
    run = next((cluster.folder / "runs/pong").glob("2*"))
    sampled = json.loads((run / "nodes.json").read_text())
    total = sum(sampled.values())
    print({node: f"{steps / total:.0%}" for node, steps in sampled.items()})
    assert set(sampled) == set(cluster.addresses().values())
    assert all(steps > 0.05 * total for steps in sampled.values()), sampled
    kept = cluster.head("find", f"/results/kept/pong/{run.name}", "-type", "f")
    for text in (kept, "\n".join(map(str, run.rglob("*")))):
        assert "/events.out.tfevents" in text and "/checkpoint_000000/" in text
        assert "/metrics.csv" in text
    assert json.loads((run / "status.json").read_text())["state"] == "succeeded"
    assert json.loads((run / "config.json").read_text())["resources"]["cpus"] == 4
    log = cluster.savanna("logs", job)
    assert "sampled on 3 nodes" in log.stdout + log.stderr


def test_particle_worlds_on_all_three_nodes(cluster):
    """Films made during training are fetched too, and the fetched run can be evaluated here."""
    job = cluster.submit(
        "particle",
        "--num-env-runners",
        "3",
        "--workers",
        "2",
        "--film-every",
        "4",
        "--set",
        "num_envs_per_env_runner=16",
        "--set",
        "train_batch_size_per_learner=64",
        "--set",
        "num_steps_sampled_before_learning_starts=4000",
        "--set",
        "min_sample_timesteps_per_iteration=4000",
        "--set",
        "world_steps_per_update=1000",
        "--checkpoint-freq",
        "0",
        "--stop",
        "none",
        "--stop",
        "agent_steps=45000",
        "--wait",
        films=True,
    )
    fetched = cluster.savanna("fetch", job)
    assert fetched.returncode == 0, fetched.stderr
    [run] = (cluster.folder / "runs/particle").glob("2*")
    sampled = json.loads((run / "nodes.json").read_text())
    total = sum(sampled.values())
    assert set(sampled) == set(cluster.addresses().values())
    assert all(steps > 0.05 * total for steps in sampled.values()), sampled
    films = sorted(path.name for path in (run / "videos").glob("*.mp4"))
    assert len([name for name in films if name.startswith("episode-")]) >= 2, films
    assert "early-middle-final.mp4" in films
    options = ("--episodes", "5", "--checkpoint", "last", "--json")
    evaluated = cluster.savanna("evaluate", f"particle/{run.name}", *options)
    assert evaluated.returncode == 0, evaluated.stderr
    [result] = json.loads(evaluated.stdout)
    assert result["length_mean"] == 25 and result["metrics"]["old_return"] < 0


def test_training_in_the_head_joins_the_cluster(cluster):
    """`docker exec HEAD savanna train` needs neither address nor token."""
    plan = json.loads(cluster.head("savanna", "train", "pong", "--dry-run", "--json"))
    assert plan["resources"]["cpus"] == 4 and plan["resources"]["env_runners"] == 3


@pytest.fixture(scope="module")
def walk(cluster):
    """The run of a job with the user's own environment, which trains on all nodes."""
    (cluster.folder / "walk.py").write_text(WALK)
    job = cluster.submit(
        "gym",
        "--env",
        "walk:Walk",
        "--stop",
        "none",
        "--num-env-runners",
        "3",
        "--checkpoint-freq",
        "0",
    )
    return cluster.running(job)


def test_an_environment_of_the_users_own_reaches_every_node(cluster, walk):
    walked = lambda: cluster.head("cat", f"/results/{walk}/train.log", check=False)
    for node in ("head", "worker-a", "worker-b"):
        line = f"walking on {NAME}-{node}"
        cluster.wait_for(line, lambda line=line: line in walked())


@pytest.fixture(scope="module")
def stopped(cluster, walk):
    """The same run, after its head was stopped and started again."""
    docker("stop", "-t", facts()["STOP_TIMEOUT"], f"{NAME}-head")
    cluster.up()
    return walk


def test_a_stopped_head_lets_its_run_write_a_checkpoint(cluster, stopped):
    assert cluster.read(stopped, "status.json")["state"] == "stopped"
    assert cluster.kept(stopped) == len(cluster.metrics(stopped)) > 0


def test_a_killed_head_is_survived_by_its_run(cluster, stopped):
    """A new job continues a run, and `--retries` continues it again from the last checkpoint, with
    its counters, in the same folder."""
    before = len(cluster.metrics(stopped))
    command = [
        "submit",
        "--resume",
        stopped,
        "--py-modules",
        "walk.py",
        "--checkpoint-freq",
        "1",
        "--stop",
        f"iterations={before + 20}",
        "--wait",
        "--retries",
        "1",
    ]
    answer, said = cluster.folder / "answer", cluster.folder / "said"
    with (
        answer.open("w") as out,
        said.open("w") as err,
        started(
            savanna_command(*command), cwd=cluster.folder, env=ours(), stdout=out, stderr=err
        ) as waiting,
    ):
        job = cluster.wait_for(
            "the job's id", lambda: answer.read_text().partition("\n")[0], waiting
        )
        assert cluster.running(job) == stopped
        cluster.wait_for("two checkpoints more", lambda: cluster.kept(stopped) > before + 1)
        docker("kill", f"{NAME}-head")
        cluster.up()
        lost = cluster.savanna("status", job)
        assert "no longer knows this job" in lost.stdout, lost.stdout
        finish(waiting, 240)
    assert waiting.returncode == 0, said.read_text()
    assert f"Submitting again from the last checkpoint of {stopped}" in said.read_text()
    rows = cluster.metrics(stopped)
    assert [int(float(row["iteration"])) for row in rows] == list(range(1, before + 21))
    steps = [float(row["agent_steps"]) for row in rows]
    assert steps[:before] == sorted(steps[:before])  # the stop may have come before any samples
    continued = steps[before - 1 :]
    assert continued == sorted(set(continued))
    assert cluster.read(stopped, "status.json")["state"] == "succeeded"


def test_a_killed_worker_costs_samples_but_not_the_run(cluster):
    """Its env runner comes back too; then the job is stopped and keeps a checkpoint."""
    job = cluster.submit(*PONG, *SMALL, "--stop", "agent_steps=10000000")
    run = cluster.running(job)
    steps = lambda node: (cluster.read(run, "nodes.json") or {}).get(node, 0)
    addresses = cluster.addresses()
    lost, other = addresses[f"{NAME}-worker-1"], addresses[f"{NAME}-worker-2"]
    cluster.wait_for("worker-1 samples", lambda: steps(lost))
    docker("kill", f"{NAME}-worker-1")
    lost_steps, other_steps = steps(lost), steps(other)
    status = cluster.local("status")
    assert status.returncode == 1 and "exited" in status.stdout
    cluster.wait_for("worker-2 goes on", lambda: steps(other) > other_steps + 1500)
    assert steps(lost) < lost_steps + 2500, "more than what was under way"
    cluster.up()
    again = cluster.addresses()[f"{NAME}-worker-1"]  # may be the one it had
    again_steps = steps(again)
    cluster.wait_for("worker-1 samples again", lambda: steps(again) > again_steps + 600)

    docker("stop", "-t", facts()["STOP_TIMEOUT"], f"{NAME}-worker-2")
    state = json.loads(docker("inspect", f"{NAME}-worker-2").stdout)[0]["State"]
    assert state["ExitCode"] == 0, "it was killed instead of drained"
    again_steps = steps(again)
    cluster.wait_for("worker-1 goes on", lambda: steps(again) > again_steps + 1500)

    stopped = cluster.savanna("stop", job)
    assert cluster.job(job)["state"] == "stopped", stopped.stderr
    assert cluster.kept(run)
    assert cluster.savanna("wait", job).returncode == 130


def test_scaling_from_two_to_none_to_two(cluster):
    gone = cluster.local("scale", "--workers", "0")
    assert gone.returncode == 0, gone.stderr
    assert gone.stderr.count("draining and removing") == 2 and len(ids()) == 1
    late = cluster.savanna(
        "submit",
        *PONG,
        "--stop",
        "iterations=1",
        "--workers",
        "1",
        "--start-timeout",
        "5s",
        "--wait",
    )
    assert late.returncode == 1 and "0 of 1 worker" in late.stderr, late.stderr
    back = cluster.local("scale", "--workers", "2")
    assert back.returncode == 0 and "all 3 nodes have joined" in back.stderr


def test_logs_and_their_mistakes(cluster):
    assert "starting as worker" in cluster.local("logs", "worker-1").stdout
    wrong = cluster.local("logs", "worker-9")
    assert wrong.returncode == 2 and "Known nodes: head, worker-1, worker-2" in wrong.stderr
    assert "--follow needs a node" in cluster.local("logs", "-f").stderr


def test_down_keeps_the_results_and_nothing_else(cluster):
    """Last: the other tests need the cluster."""
    existing = set((cluster.folder / "runs").glob("*/2*"))
    result = cluster.local("down")
    assert result.returncode == 0, result.stderr
    kept = set((cluster.folder / "runs").glob("*/2*"))
    assert len(kept) > len(existing) and "kept" in result.stderr
    for kind in ("container ls -aq", "volume ls -q", "network ls -q"):
        listed = docker(*kind.split(), "--filter", f"label=savanna.cluster={NAME}").stdout
        assert listed.split() == [], kind
    assert not (cluster.folder / ".savanna/cluster.json").exists()
    assert not list((cluster.folder / ".savanna").glob("*.token"))
    assert cluster.local("down").returncode == 0, "down twice is down once"
    assert "there is no cluster" in cluster.local("status").stderr
    assert "make cluster-up" in cluster.savanna("status").stderr
