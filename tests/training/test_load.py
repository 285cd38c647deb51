"""`savanna.load`: a trained policy, played from Python."""

import json
import shutil

import numpy as np
import pytest
from command import savanna

import savanna as api
from savanna.errors import SavannaError, UsageError
from savanna.evaluation.policy import MODULE
from savanna.modules.atari import AtariModule
from savanna.runs.directory import RunDirectory


@pytest.fixture(scope="module")
def policy(trained):
    return api.load(runs_root=trained / "runs")


def test_a_policy_is_named_as_runs_are(policy, trained, monkeypatch):
    run = RunDirectory.find("latest", trained / "runs")
    assert policy.run == run and policy.checkpoint == run.checkpoint("best")
    monkeypatch.chdir(trained)
    numbers = {"latest@1": 1, f"cartpole/{run.id}@last": 2, str(run.path / "checkpoint_000000"): 0}
    assert {name: api.load(name).checkpoint.number for name in numbers} == numbers
    monkeypatch.chdir("/")
    monkeypatch.setenv("SAVANNA_RUNS_ROOT", str(trained / "runs"))
    assert api.load(run).run == api.load(f"{run.id}@best").run == run
    assert [each.run for each in api.list_runs()] == [run]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nobody", "no run 'nobody'"),
        ("nobody@1", "no run 'nobody'"),
        ("latest@7", "best, last, 0, 1, 2"),
        ("alone/checkpoint_000000", "is not in a run"),
    ],
)
def test_what_cannot_be_loaded(name, says, copied, monkeypatch):
    monkeypatch.chdir(copied)
    shutil.copytree("runs/latest/checkpoint_000000", "alone/checkpoint_000000")
    with pytest.raises(UsageError, match=says):
        api.load(name)
    with pytest.raises(SavannaError, match="damaged"):
        (copied / "runs/latest/checkpoint_000001" / MODULE / "module_state.pkl").write_text("x")
        api.load("latest@1")


def test_one_observation_or_a_batch(policy):
    assert policy.observation_space.shape == (4,) and policy.action_space.n == 2
    seen = [policy.observation_space.sample().clip(-1, 1) for _ in range(50)]
    actions = policy(seen)
    assert isinstance(actions, np.ndarray) and set(actions) == {0, 1}
    one_by_one = [policy(one) for one in seen]
    assert one_by_one == actions.tolist() and type(one_by_one[0]) is int
    assert policy(np.float64(seen)).tolist() == actions.tolist()
    assert policy(seen[0].tolist()) == actions[0]
    drawn = policy(np.zeros((200, 4)), rng=np.random.default_rng(0))
    assert set(drawn) == {0, 1} and len(set(policy(np.zeros((200, 4))))) == 1


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (np.zeros(3), "the observation is float64 [3]; the policy takes float32 [4], or a batch"),
        (np.zeros((2, 2, 4)), "float64 [2, 2, 4]; the policy takes float32 [4]"),
        (np.zeros(4, complex), "complex128 [4]"),
        ([[1, 2, 3, 4], [1, 2]], "is not an array; the policy takes"),
        (None, "object []"),
        ({"agent_0": np.zeros(4)}, "object []"),
        ([0, 0, float("nan"), 0], "has NaN or infinity in it."),
    ],
)
def test_what_it_does_not_take(given, says, policy):
    with pytest.raises(UsageError) as error:
        policy(given)
    assert says in str(error.value) and "\n" not in str(error.value)


def test_an_episode_is_that_of_an_evaluation(policy):
    """Ten lines; the same return to the last digit."""
    [best] = [
        entry
        for entry in policy.run.read_json("evaluations.json", [])
        if entry["checkpoint"] == policy.checkpoint.number
    ]
    env, returns = policy.make_env(), []
    for seed in range(best["seed"], best["seed"] + 3):
        observation, _ = env.reset(seed=seed)
        returns.append(0.0)
        over = False
        while not over:
            observation, reward, terminated, truncated, _ = env.step(policy(observation))
            returns[-1] += reward
            over = terminated or truncated
    assert returns == best["returns"]


def test_an_environment_that_can_be_shown(policy):
    env = policy.make_env(render_mode="rgb_array")
    env.reset(seed=0)
    assert env.render().ndim == 3


def test_an_atari_policy_takes_frames_as_training_made_them(tmp_path):
    run = RunDirectory(tmp_path / "pong" / "1")
    folder = run.path / "checkpoint_000000"
    folder.mkdir(parents=True)
    env_config = {"frame_size": 42, "frame_stack": 4}
    run.write_json("config.json", {"env": "PongNoFrameskip-v4", "env_config": env_config})
    counters = {"iteration": 1, "agent_steps": 1, "seconds": 1.0, "episode_return_mean": 0.0}
    (folder / "checkpoint.json").write_text(json.dumps({**counters, "files": {}}))
    from savanna.envs.atari import Atari

    [(seen, chosen)] = Atari("PongNoFrameskip-v4", env_config).spaces()
    module = AtariModule(
        observation_space=seen,
        action_space=chosen,
        model_config={"encoder": "small", "hidden_size": 32, "standardize_frames": 0},
    )
    module.save_to_path(folder / MODULE)
    policy = api.load(run)
    env = policy.make_env()
    observation, _ = env.reset(seed=0)
    assert observation.shape == policy.observation_space.shape == (4, 42, 42)
    for _ in range(5):
        observation, *_ = env.step(policy(observation))
    screen = np.zeros((210, 160, 3), np.uint8)
    for wrong, says in (
        (screen, "uint8 [210, 160, 3]"),
        (observation / 255, "float64 [4, 42, 42]"),
    ):
        with pytest.raises(UsageError) as error:
            policy(wrong)
        assert says in str(error.value) and "make_env()" in str(error.value)


def test_agents_of_a_particle_world_are_told_apart_by_name(tmp_path):
    few = "--stop iterations=1 --evaluate-episodes 0 --no-video --no-report --num-env-runners 1"
    done = savanna(
        "train", "particle", "--set", "share_parameters=true", *few.split(), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    policy = api.load(runs_root=tmp_path / "runs")
    env = policy.make_env()
    observations, _ = env.reset(seed=0)
    agents = ["agent_0", "agent_1", "agent_2"]
    assert [*observations] == [*policy.observation_space] == [*policy.action_space] == agents
    length = 0
    while env.agents:
        actions = policy(observations)
        assert all(policy.action_space[agent].contains(actions[agent]) for agent in agents)
        observations, *_ = env.step(actions)
        length += 1
    assert length == 25
    batch = policy({"agent_1": np.zeros((7, 18))})
    assert [*batch] == ["agent_1"] and len(batch["agent_1"]) == 7
    for wrong in (observations["agent_0"], {"agent_9": observations["agent_0"]}):
        with pytest.raises(UsageError, match="keys agent_0, agent_1, agent_2"):
            policy(wrong)
    with pytest.raises(UsageError, match=r"observation of agent_1 is float64 \[3\]"):
        policy({"agent_1": np.zeros(3)})
