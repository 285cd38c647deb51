"""Targets, losses and averages of MADDPG on toy arrays, against a plain reference."""

import copy

import gymnasium as gym
import numpy as np
import pytest
import torch

from savanna.algorithms.maddpg.layout import Layout
from savanna.algorithms.maddpg.learner import clip_each
from savanna.algorithms.maddpg.module import MADDPGAgent
from savanna.algorithms.maddpg.stack import Ensemble, Stack, mlp
from savanna.algorithms.maddpg.update import Settings, Update

OBSERVATIONS, ACTIONS, BATCH = (4, 4, 3), (5, 5, 2), 16


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def make_module(agent, layout, *, critics=1, local=False, continuous=False):
    width = layout.action_widths[agent]
    return MADDPGAgent(
        observation_space=gym.spaces.Box(-9, 9, (layout.observation_sizes[agent],)),
        action_space=gym.spaces.Box(0, 1, (width,)) if continuous else gym.spaces.Discrete(width),
        inference_only=False,
        model_config={
            "actor_hiddens": [8],
            "critic_hiddens": [8, 6],
            "critics": critics,
            "critic_width": layout.critic_width(agent, local),
        },
    )


def make_update(*, critics=1, local=(False,) * 3, continuous=False, shared=False, **settings):
    sizes = (4, 4, 4) if shared else OBSERVATIONS
    widths = (5, 5, 5) if shared else ACTIONS
    layout = Layout(sizes, widths, discrete=not continuous)
    modules = [
        make_module(i, layout, critics=critics, local=local[i], continuous=continuous)
        for i in range(3)
    ]
    if shared:
        modules = [modules[0]] * 3
    return Update(modules, layout, Settings(local, **settings)), modules, layout


def make_rows(layout, seed=1):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(BATCH, layout.row_width)).astype(np.float32)
    start = layout.observation_width
    if layout.discrete:
        for agent, width in enumerate(layout.action_widths):
            rows[:, start + agent] = rng.integers(0, width, BATCH)
    else:
        rows[:, start : start + layout.stored_action_width] = rng.uniform(
            size=(BATCH, layout.stored_action_width)
        )
    rows[:, start + layout.stored_action_width + layout.agents] = 0.9  # discounts
    return torch.from_numpy(rows)


def gradients(ensembles):
    """The gradient of each network's parameters, by their address in memory."""
    return {
        stacked.data[place].data_ptr(): stacked.grad[place]
        for ensemble in ensembles
        for stack in ensemble.stacks
        for stacked in stack.parameters
        for place in range(stack.size)
    }


def joint(layout, observations, actions, agent, *, local=False, own_first=False):
    """What an agent's critic sees, written out."""
    seen = observations.split(layout.observation_sizes, dim=1)
    done = actions.split(layout.action_widths, dim=1)
    order = [agent] if local else list(range(layout.agents))
    if own_first:
        order = [(agent + k) % layout.agents for k in range(layout.agents)]
    return torch.cat([*(seen[i] for i in order), *(done[i] for i in order)], dim=1)


def test_a_row_is_taken_apart_and_discrete_actions_become_one_hot():
    layout = Layout(OBSERVATIONS, ACTIONS, discrete=True)
    rows = make_rows(layout)
    batch = layout.batch(rows)
    assert layout.row_width == 11 + 3 + 3 + 1 + 11 == rows.shape[1]
    assert torch.equal(batch.observations, rows[:, :11])
    assert torch.equal(batch.next_observations, rows[:, -11:])
    assert torch.equal(batch.rewards.t(), rows[:, 14:17])
    assert torch.equal(batch.discounts, rows[:, 17])
    for agent, part in enumerate(batch.actions.split(ACTIONS, dim=1)):
        assert torch.equal(part.argmax(1).float(), rows[:, 11 + agent])
        assert (part.sum(1) == 1).all()


def test_the_critic_sees_all_observations_then_all_actions_in_the_worlds_order():
    layout = Layout((2, 1), (2, 3), discrete=True)
    see = layout.critic_columns
    assert see(0) == see(1) == list(range(8))
    assert see(1, local=True) == [2, 5, 6, 7]


def test_a_shared_critic_sees_its_agent_then_its_kind_then_all_others_in_one_order():
    """Five agents of two kinds, mixed: 0, 2 and 3 share a critic, 1 and 4 another."""
    layout = Layout((1,) * 5, (1,) * 5, discrete=False)

    def see(agent, kind):
        columns = layout.critic_columns(agent, kind=kind)
        assert [c - 5 for c in columns[5:]] == columns[:5], "actions in the order of observations"
        return columns[:5]

    assert [see(agent, [0, 2, 3]) for agent in (0, 2, 3)] == [
        [0, 2, 3, 1, 4],
        [2, 3, 0, 1, 4],
        [3, 0, 2, 1, 4],
    ]
    assert [see(agent, [1, 4]) for agent in (1, 4)] == [[1, 4, 0, 2, 3], [4, 1, 0, 2, 3]]


@pytest.mark.parametrize("continuous", [False, True])
def test_agents_of_one_kind_are_exchangeable_for_their_critic(continuous):
    """Two agents of a kind that swap places get each other's value, whatever the others do."""
    layout = Layout((3, 4, 3, 4), (2, 5, 2, 5), discrete=not continuous)
    modules = [make_module(i, layout, continuous=continuous) for i in range(2)] * 2
    update = Update(modules, layout, Settings((False,) * 4))
    batch = layout.batch(make_rows(layout))
    values = update.values(update.critics[0], batch.observations, lambda agent: batch.actions)

    def swapped(joint, sizes):
        parts = list(joint.split(sizes, dim=1))
        parts[0], parts[2] = parts[2], parts[0]
        return torch.cat(parts, dim=1)

    actions = swapped(batch.actions, layout.action_widths)
    observations = swapped(batch.observations, layout.observation_sizes)
    others = update.values(update.critics[0], observations, lambda agent: actions)
    torch.testing.assert_close(others[0], values[2])
    torch.testing.assert_close(others[2], values[0])
    assert not torch.isclose(values[0], values[2]).all()


@pytest.mark.parametrize("shared", [False, True])
def test_a_stack_computes_what_its_networks_compute_one_by_one(shared):
    networks = [mlp(3, [5], 2), mlp(3, [5], 2), mlp(4, [5], 2)]
    if shared:
        networks[1] = networks[0]
    inputs = [torch.randn(7, 3), torch.randn(7, 3), torch.randn(7, 4)]
    expected = [network(x).detach() for network, x in zip(networks, inputs, strict=True)]
    ensemble = Ensemble(networks)
    assert len(ensemble.stacks) == 2
    for found, wanted in zip(ensemble(inputs), expected, strict=True):
        torch.testing.assert_close(found, wanted)
    # The networks' parameters are views: loading weights into one changes the stack.
    networks[0].load_state_dict({k: v * 2 for k, v in networks[0].state_dict().items()})
    torch.testing.assert_close(ensemble(inputs)[0], networks[0](inputs[0]))
    with torch.no_grad():
        ensemble.parameters[0].add_(1.0)
    torch.testing.assert_close(ensemble(inputs)[0], networks[0](inputs[0]))


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("critics", [1, 2])
def test_targets(critics, shared):
    """y_i = r_i + gamma^n min_k Q'_ik(x', a'), with the target actors' actions."""
    update, modules, layout = make_update(critics=critics, shared=shared)
    batch = layout.batch(make_rows(layout))
    actions = update.target_actions(batch.next_observations)
    update.target_actions = lambda observations: actions
    found = update.targets(batch)
    for agent, module in enumerate(modules):
        x = joint(layout, batch.next_observations, actions, agent, own_first=shared)
        values = [critic(x).squeeze(1) for critic in module.target_critics]
        expected = batch.rewards[agent] + 0.9 * torch.stack(values).min(dim=0).values
        torch.testing.assert_close(found[agent], expected)


def test_target_actions_are_drawn_from_the_target_actors():
    update, modules, layout = make_update()
    with torch.no_grad():
        for module in modules:
            module.target_actor[-1].weight.zero_()
            module.target_actor[-1].bias.zero_()
            module.target_actor[-1].bias[1] = np.log(3.0)
    drawn = update.target_actions(torch.randn(4000, layout.observation_width))
    for agent, part in enumerate(drawn.split(layout.action_widths, dim=1)):
        assert ((part == 0) | (part == 1)).all() and (part.sum(1) == 1).all()
        share = 3 / (3 + ACTIONS[agent] - 1)
        assert abs(float(part[:, 1].mean()) - share) < 0.03


def test_smoothed_continuous_target_actions_stay_within_noise_and_range():
    update, modules, layout = make_update(continuous=True, target_noise=5.0, target_noise_clip=0.1)
    observations = torch.randn(200, layout.observation_width)
    drawn = update.target_actions(observations).split(layout.action_widths, dim=1)
    for module, seen, action in zip(modules, layout.split(observations), drawn, strict=True):
        plain = (module.target_actor(seen).tanh() + 1) / 2
        assert (action - plain).abs().max() <= 0.1 + 1e-6 and (action - plain).abs().max() > 0.05
        assert action.min() >= 0 and action.max() <= 1


@pytest.mark.parametrize("local", [(False, False, False), (True, True, True), (True, False, True)])
def test_the_critics_gradient(local):
    """That of each agent's own mean squared error, also where some agents are DDPG's."""
    update, modules, layout = make_update(local=local, critics=2)
    plain = copy.deepcopy([module.critics for module in modules])
    batch = layout.batch(make_rows(layout))
    targets = torch.randn(3, BATCH)
    loss, values = update.critic_loss(batch, targets)
    loss.backward()
    found_of = gradients(update.critics)
    for agent, module in enumerate(modules):
        x = joint(layout, batch.observations, batch.actions, agent, local=local[agent])
        for critic, reference in zip(module.critics, plain[agent], strict=True):
            value = reference(x).squeeze(1)
            (value - targets[agent]).square().mean().backward()
            for found, wanted in zip(critic.parameters(), reference.parameters(), strict=True):
                torch.testing.assert_close(found_of[found.data_ptr()], wanted.grad)
        torch.testing.assert_close(values[agent], plain[agent][0](x).squeeze(1).detach())


@pytest.mark.parametrize("critics", [1, 2])
def test_the_actors_gradient_is_that_of_their_own_critics_through_their_own_action(critics):
    """Continuous: -Q_i(x, a_1 .. mu_i(o_i) .. a_N), the other actions from the batch; Q_i is the
    mean of the twins."""
    update, modules, layout = make_update(critics=critics, continuous=True, logit_penalty=0.01)
    plain = copy.deepcopy(modules)
    batch = layout.batch(make_rows(layout))
    loss, entropy = update.actor_loss(batch)
    loss.backward()
    assert entropy is None
    assert all(p.grad is None for p in update.critic_parameters)
    found_of = gradients([update.actors])
    for agent, (module, reference) in enumerate(zip(modules, plain, strict=True)):
        output = reference.actor(layout.split(batch.observations)[agent])
        done = list(batch.actions.split(layout.action_widths, dim=1))
        done[agent] = (output.tanh() + 1) / 2
        x = joint(layout, batch.observations, torch.cat(done, dim=1), agent)
        values = torch.cat([critic(x) for critic in reference.critics], dim=1)
        (0.01 * output.square().mean() - values.mean()).backward()
        wanted = reference.actor.parameters()
        for parameter, other in zip(module.actor.parameters(), wanted, strict=True):
            torch.testing.assert_close(found_of[parameter.data_ptr()], other.grad)


def test_discrete_actors_learn_to_choose_what_their_critic_values():
    """Critics for which action 1 is worth 1 to its agent, and everything else 0."""
    update, modules, layout = make_update(logit_penalty=0.0, local=(True, True, True))
    with torch.no_grad():
        for agent, module in enumerate(modules):
            first, second, last = (m for m in module.critics[0] if hasattr(m, "weight"))
            for layer in (first, second, last):
                layer.weight.zero_()
                layer.bias.zero_()
            first.weight[0, layout.observation_sizes[agent] + 1] = 1.0
            second.weight[0, 0] = last.weight[0, 0] = 1.0
    batch = layout.batch(make_rows(layout))
    optimizer = torch.optim.Adam(update.actors.parameters, lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        loss, entropy = update.actor_loss(batch)
        loss.backward()
        optimizer.step()
    for module, seen in zip(modules, layout.split(batch.observations), strict=True):
        assert module.actor(seen).softmax(1)[:, 1].mean() > 0.9
    assert 0 <= entropy < 0.4


def test_soft_updates():
    mine, other = mlp(2, [3], 1), mlp(2, [3], 1)
    before = [p.clone() for p in mine.parameters()]
    Stack([mine]).follow(Stack([other]), 0.25)
    for old, found, wanted in zip(before, mine.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, 0.75 * old + 0.25 * wanted)


def test_what_plays_is_the_mean_of_the_actors_last_updates():
    update, (module, *_), layout = make_update(continuous=True)
    weight, mean = (actor[0].weight for actor in (module.actor, module.average_actor))
    wanted = weight.detach().clone()
    for number in range(1, 31):
        with torch.no_grad():
            weight += torch.randn_like(weight)
        update.average(number, longest=5)
        wanted += (weight.detach() - wanted) / min(5, max(1, number / 3))
        torch.testing.assert_close(mean.detach(), wanted)
        assert number > 3 or torch.equal(mean, weight)
    batch = {"obs": torch.randn(7, layout.observation_sizes[0])}
    played, explored = module.forward_inference(batch), module.forward_exploration(batch)
    squashed = [
        (actor(batch["obs"]).tanh() + 1) / 2 for actor in (module.average_actor, module.actor)
    ]
    for found, action in zip((played, explored), squashed, strict=True):
        torch.testing.assert_close(found["action_dist_inputs"], action)
    assert not torch.allclose(*squashed)


def test_gradients_are_clipped_network_by_network():
    stack = Stack([mlp(2, [], 1), mlp(2, [], 1)])
    weight, bias = stack.parameters
    weight.grad = torch.tensor([[[3.0, 0.0]], [[0.1, 0.0]]])
    bias.grad = torch.tensor([[4.0], [0.0]])
    norm = clip_each([stack], 0.5)
    assert norm == pytest.approx((5 + 0.1) / 2)
    torch.testing.assert_close(weight.grad, torch.tensor([[[0.3, 0.0]], [[0.1, 0.0]]]))
    torch.testing.assert_close(bias.grad, torch.tensor([[0.4], [0.0]]))
