"""Env runner, learner and config of MADDPG in one process, without Ray running."""

import numpy as np
import pytest
import torch
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from savanna.algorithms.maddpg import MADDPG
from savanna.algorithms.maddpg.env_runner import ParticleEnvRunner, noise_of_worlds


def make_config(env="simple_spread", env_config=None, **training):
    settings = {"num_steps_sampled_before_learning_starts": 400, "world_steps_per_update": 50}
    settings |= {"train_batch_size_per_learner": 64, "replay_capacity": 2000}
    return (
        MADDPG.get_default_config()
        .environment(env, env_config=env_config or {})
        .env_runners(num_envs_per_env_runner=8, rollout_fragment_length=25)
        .debugging(seed=5)
        .training(**(settings | training))
    )


def make_learner(config):
    learner = config.get_default_learner_class()(
        config=config, module_spec=config.get_multi_rl_module_spec()
    )
    learner.build()
    return learner


def update(learner, *fragments):
    return learner.update(
        training_data=TrainingData(episodes=list(fragments)),
        timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: 1000},
    )


@pytest.mark.parametrize(
    ("env", "settings"),
    [
        ("simple_spread", {}),
        ("simple_spread", {"continuous": True}),
        ("simple_tag", {"num_adversaries": 2, "num_agents": 3}),
        ("simple_speaker_listener", {}),
        ("simple_world_comm", {}),
    ],
)
@pytest.mark.parametrize("shared", [False, True])
def test_every_network_learns_in_every_kind_of_world(env, settings, shared):
    config = make_config(env, settings, share_parameters=shared, num_critics=2, lr=0.01)
    runner, learner = ParticleEnvRunner(config=config, worker_index=1), make_learner(config)
    before = learner.module.get_state()
    results = [update(learner, runner.sample()) for _ in range(3)]
    after = learner.module.get_state()
    assert len(after) == len(set(config.module_of_agent())) <= len(config.agents())
    assert (len(after) < len(config.agents())) == (shared and env != "simple_speaker_listener")
    for name, weights in after.items():
        for part, found in weights.items():
            if part not in ("low", "high"):
                assert not np.array_equal(found, before[name][part]), f"{name} {part}"
    assert np.isfinite(float(results[-1]["default_policy"]["vf_loss"].peek()))


def test_only_agents_of_one_role_share_networks():
    def shared(env, **settings):
        return make_config(env, settings, share_parameters=True).module_of_agent()

    assert shared("simple_spread") == ("agent_0",) * 3
    assert shared("simple_crypto") == ("eve_0", "bob_0", "alice_0")
    assert shared("simple_tag") == ("adversary_0",) * 3 + ("agent_0",)
    assert shared("simple_world_comm").count("adversary_0") == 3


def test_rows_hold_what_happened_in_the_worlds():
    config = make_config()
    runner = ParticleEnvRunner(config=config, worker_index=1)
    first, second = runner.sample(), runner.sample()
    layout = config.layout()
    batch = layout.batch(torch.from_numpy(first.rows))
    assert len(first) == 200 and len(first.episodes) == 8
    # A step's next observation is the one the next step starts from, except at an episode's end.
    seen = batch.observations.reshape(25, 8, -1)
    following = batch.next_observations.reshape(25, 8, -1)
    assert torch.equal(following[:-1], seen[1:])
    begun = layout.batch(torch.from_numpy(second.rows)).observations.reshape(25, 8, -1)[0]
    assert not torch.isclose(following[-1], begun).all(dim=1).any()
    assert (begun[:, :2] == 0).all(), "a new episode begins at rest"
    assert (batch.discounts == np.float32(config.gamma)).all(), "truncation is not termination"
    totals = batch.rewards.sum(dim=0).reshape(25, 8).sum(dim=0)
    found = [episode.episode_return for episode in first.episodes]
    np.testing.assert_allclose(totals, found, rtol=1e-4)


def test_env_runners_see_different_worlds_and_a_seed_repeats_them():
    config = make_config()
    rows = [ParticleEnvRunner(config=config, worker_index=i).sample().rows for i in (1, 2, 1)]
    assert not np.array_equal(rows[0], rows[1])
    assert np.array_equal(rows[0], rows[2])


def test_env_runners_act_with_the_learners_new_weights():
    config = make_config(share_parameters=True)
    runner, learner = ParticleEnvRunner(config=config, worker_index=1), make_learner(config)
    [module] = [learner.module[name] for name in set(config.module_of_agent())]
    with torch.no_grad():
        module.actor[-1].bias[2] = 100.0
    runner.set_state({"rl_module": learner.module.get_state(inference_only=True)})
    actions = config.layout().batch(torch.from_numpy(runner.sample().rows)).actions
    assert (actions.reshape(-1, 5).argmax(1) == 2).all()
    names = {name for state in runner.module.get_state().values() for name in state}
    assert not any("critic" in name or "target" in name for name in names)


@pytest.mark.parametrize(("worlds", "env_runners"), [(64, 1), (1, 1), (1, 40), (30, 3)])
def test_noise_is_spread_evenly_over_the_worlds_of_all_env_runners(worlds, env_runners):
    every = [noise_of_worlds(0.1, worlds, env_runners, k + 1) for k in range(env_runners)]
    noise = np.stack(every, axis=1).ravel()
    count = len(noise)
    assert abs(noise.mean() - 0.1) < 0.1 / count
    # At most one world too many or too few below any level, as if they were evenly spaced.
    levels = np.sort(noise) / 0.2
    assert np.abs(levels - (np.arange(count) + 0.5) / count).max() < 2 / count
    neighbours = np.convolve(noise, np.ones(36) / 36, "valid") if count >= 36 else noise.mean()
    assert np.abs(neighbours - 0.1).max() < 0.01


def test_every_world_is_played_with_its_own_noise():
    config = make_config(env_config={"continuous": True}).env_runners(exploration_noise=0.1)
    runner = ParticleEnvRunner(config=config, worker_index=1)
    seen = [np.zeros((8, size), np.float32) for size in config.layout().observation_sizes]
    played = np.stack([np.concatenate(runner._act(seen), axis=1) for _ in range(400)])
    deviation = played.std(axis=0).mean(axis=1)
    np.testing.assert_allclose(deviation, noise_of_worlds(0.1, 8, 1, 1), rtol=0.1)


def test_updates_are_paid_for_by_samples():
    config = make_config(world_steps_per_update=80)
    runner, learner = ParticleEnvRunner(config=config, worker_index=1), make_learner(config)
    made = []
    for _ in range(6):  # of 200 world steps
        update(learner, runner.sample())
        made.append(learner._updates)
    assert made == [0, 2, 5, 7, 10, 12]


def test_a_resumed_learner_fills_its_buffer_before_it_goes_on():
    config = make_config()
    runner, learner = ParticleEnvRunner(config=config, worker_index=1), make_learner(config)
    for _ in range(4):
        update(learner, runner.sample())
    state = learner.get_state()
    resumed = make_learner(config)
    resumed.set_state(state)
    kept = resumed.module.get_state()
    for name, weights in learner.module.get_state().items():
        for part, found in weights.items():
            np.testing.assert_array_equal(found, kept[name][part])
    moments = resumed.get_optimizer("__all_modules__", "critic").state
    assert len(moments) and all(float(m["step"]) == 12 for m in moments.values())
    update(resumed, runner.sample())
    assert len(resumed.replay) == 200 and resumed._updates == 12
    update(resumed, runner.sample())
    assert resumed._updates == 16


def test_every_step_counts_as_learned_from_once_also_where_updates_are_rare():
    config = make_config(world_steps_per_update=1000)
    runner, learner = ParticleEnvRunner(config=config, worker_index=1), make_learner(config)
    counted = []
    for _ in range(11):  # of 200 world steps; it begins to learn after 400
        found = update(learner, runner.sample())["__all_modules__"]
        counted.append(found["num_env_steps_trained_lifetime"].peek())
    assert learner._updates == 2
    assert sum(counted) == 2200 and counted.count(0) == 9, counted


def test_delayed_actors_and_targets():
    config = make_config(policy_delay=3, world_steps_per_update=200)
    runner, learner = ParticleEnvRunner(config=config, worker_index=1), make_learner(config)
    changed = []
    update(learner, runner.sample())
    for _ in range(6):
        before = learner.module.get_state()["agent_0"]
        update(learner, runner.sample())
        after = learner.module.get_state()["agent_0"]
        different = {k for k in after if not np.array_equal(after[k], before[k])}
        assert any(k.startswith("critics") for k in different)
        changed.append({k.split(".")[0] for k in different} - {"critics"})
    rest = {"actor", "average_actor", "target_actor", "target_critics"}
    assert changed == [set(), set(), rest, set(), set(), rest]


def test_local_critics_are_ddpg():
    config = make_config().training(use_local_critic=True)
    assert config.good_policy == config.adv_policy == "ddpg" and all(config.local())
    tag = make_config("simple_tag", adv_policy="ddpg")
    assert tag.local() == (True, True, True, False)
    learner = make_learner(tag)
    shapes = [learner.module[a.name].critic(0)[0].in_features for a in tag.agents()]
    assert shapes == [16 + 5] * 3 + [3 * 16 + 14 + 4 * 5]


def storages(parameters):
    return {parameter.untyped_storage()._cdata for parameter in parameters}


def check_that_stacks_are_the_networks(learner):
    """Every parameter of every network is in one of the stacks, and has the same effect there."""
    rule = learner._update_rule
    ensembles = (rule.actors, rule.average_actors, rule.target_actors, *rule.critics)
    ensembles += tuple(rule.target_critics)
    stacked = [p for ensemble in ensembles for p in ensemble.parameters]
    networks = [learner.module[name] for name in set(learner.config.module_of_agent())]
    assert storages(stacked) == storages(p for network in networks for p in network.parameters())
    assert {p.device for p in stacked} == {learner.device}
    assert {t.device for network in networks for t in network.buffers()} <= {learner.device}
    assert {columns.device for columns in rule._columns} == {learner.device}
    return stacked


@pytest.mark.parametrize("shared", [False, True])
def test_what_a_checkpoint_gives_the_networks_is_what_the_stacks_learn_with(shared, tmp_path):
    config = make_config("simple_tag", {"continuous": True}, share_parameters=shared, num_critics=2)
    runner, learner = ParticleEnvRunner(config=config, worker_index=1), make_learner(config)
    for _ in range(3):
        update(learner, runner.sample())
    learner.save_to_path(str(tmp_path))
    with_state, from_path = make_learner(config), make_learner(config)
    with_state.set_state(learner.get_state())
    from_path.restore_from_path(str(tmp_path))
    wanted = check_that_stacks_are_the_networks(learner)
    assert learner._actor_updates > 3
    for restored in (with_state, from_path):
        found = check_that_stacks_are_the_networks(restored)
        assert (
            restored._actor_updates == learner._actor_updates
        )  # the mean of the actors continues, too
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other)


def test_a_checkpoint_without_a_mean_of_the_actor_plays_with_the_actor():
    config = make_config(env_config={"continuous": True})
    module, other = (make_learner(config).module["agent_0"] for _ in range(2))
    old = {k: v for k, v in module.get_state().items() if not k.startswith("average_actor")}
    other.set_state(old)
    seen = {"obs": torch.randn(5, *module.observation_space.shape)}
    torch.testing.assert_close(other.forward_inference(seen), module.forward_exploration(seen))


def test_stacks_are_made_where_the_learner_learns(monkeypatch):
    """`meta` stands for a GPU: networks are moved there first, then stacked."""
    place = "ray.rllib.core.learner.torch.torch_learner.get_device"
    monkeypatch.setattr(place, lambda config, gpus: torch.device("meta"))
    learner = make_learner(make_config("simple_tag", {"continuous": True}, share_parameters=True))
    assert learner.device == torch.device("meta")
    check_that_stacks_are_the_networks(learner)
