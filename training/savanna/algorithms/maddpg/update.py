"""What MADDPG learns from a batch: targets and losses of all agents at once.

Lowe et al. 2017, "Multi-Agent Actor-Critic for Mixed Cooperative-Competitive Environments";
twin critics, delayed actors and target smoothing are TD3's (Fujimoto et al. 2018), which
Ackermann et al. 2019 carried over as MATD3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch.nn.functional import gumbel_softmax

from savanna.algorithms.maddpg.layout import Batch, Layout
from savanna.algorithms.maddpg.module import MADDPGAgent, squash
from savanna.algorithms.maddpg.stack import Ensemble


@dataclass(frozen=True)
class Settings:
    """How the losses are computed."""

    local: tuple[bool, ...]  # per agent: its critic does not see the others (DDPG)
    temperature: float = 1.0  # of the Gumbel-softmax
    logit_penalty: float = 1e-3  # weight of the mean square of the actors' outputs
    target_noise: float = 0.0  # standard deviation, continuous actions of target actors
    target_noise_clip: float = 0.5


class Update:
    """The losses of `A` agents whose modules are `modules[agent]` (repeated where shared)."""

    def __init__(self, modules: Sequence[MADDPGAgent], layout: Layout, settings: Settings) -> None:
        self.layout, self.settings = layout, settings
        self._modules = list(modules)
        self.actors = Ensemble([m.actor for m in modules])
        self.target_actors = Ensemble([m.target_actor for m in modules])
        self.average_actors = Ensemble([m.average_actor for m in modules])
        twins = range(len(modules[0].critics))
        self.critics = [Ensemble([m.critic(t) for m in modules]) for t in twins]
        self.target_critics = [Ensemble([m.target_critic(t) for m in modules]) for t in twins]
        device = self.actors.parameters[0].device
        self._columns = [
            torch.tensor(
                layout.critic_columns(agent, local=settings.local[agent], kind=kind), device=device
            )
            for agent, kind in enumerate(map(self._sharing, self._modules))
        ]

    def _sharing(self, module: MADDPGAgent) -> list[int]:
        """The agents that share a module; empty if only one agent uses it."""
        agents = [agent for agent, other in enumerate(self._modules) if other is module]
        return agents if len(agents) > 1 else []

    @property
    def critic_parameters(self) -> list[torch.nn.Parameter]:
        return [p for critics in self.critics for p in critics.parameters]

    def target_actions(self, observations: torch.Tensor) -> torch.Tensor:
        """Actions of the target actors `[B, sum of widths]`: drawn, one-hot if discrete."""
        settings, actions = self.settings, []
        for agent, output in enumerate(self.target_actors(self.layout.split(observations))):
            if self.layout.discrete:
                noise = -torch.empty_like(output).exponential_().log()
                best = (output + noise).argmax(dim=1, keepdim=True)
                actions.append(torch.zeros_like(output).scatter_(1, best, 1.0))
                continue
            module = self._modules[agent]
            action = squash(output, module.low, module.high)
            noise = torch.randn_like(action) * settings.target_noise
            limit = settings.target_noise_clip
            action = action + (module.high - module.low) * noise.clamp(-limit, limit)
            actions.append(torch.clamp(action, module.low, module.high))
        return torch.cat(actions, dim=1)

    def values(
        self,
        critics: Ensemble,
        observations: torch.Tensor,
        actions: Callable[[int], torch.Tensor],
        *,
        frozen: bool = False,
    ) -> torch.Tensor:
        """Q of every agent `[A, B]`; the critic of agent i sees the joint action `actions(i)`."""
        seen = [
            torch.cat([observations, actions(agent)], dim=1).index_select(1, columns)
            for agent, columns in enumerate(self._columns)
        ]
        return torch.cat(critics(seen, frozen=frozen), dim=1).t()

    @torch.no_grad()
    def targets(self, batch: Batch) -> torch.Tensor:
        """`[A, B]`: y_i = r_i + gamma^n min_k Q'_ik(x', a'_1 ... a'_N), a'_j from mu'_j(o'_j).

        Lowe et al. 2017, equation 6; the minimum over twins is TD3's.
        """
        actions = self.target_actions(batch.next_observations)
        estimates = [
            self.values(critics, batch.next_observations, lambda agent: actions)
            for critics in self.target_critics
        ]
        smallest = torch.stack(estimates).amin(dim=0)
        return batch.rewards + batch.discounts * smallest

    def critic_loss(self, batch: Batch, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean square error summed over agents and twins, and the first twins' values `[A, B]`."""
        estimates = [
            self.values(critics, batch.observations, lambda agent: batch.actions)
            for critics in self.critics
        ]
        loss = sum((e - targets).square().mean(dim=1).sum() for e in estimates)
        assert isinstance(loss, torch.Tensor)
        return loss, estimates[0].detach()

    def actor_loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor | None]:
        """-mean Q_i(x, a_1, ..., mu_i(o_i), ..., a_N) summed over agents; entropy if discrete.

        Lowe et al. 2017, equation 5: the other agents' actions are those of the batch; Q_i is the
        mean of the twins. A discrete action is a straight-through Gumbel-softmax sample (Jang et
        al. 2017): one-hot in the forward pass, the gradient of the softmax in the backward pass.
        The penalty on large outputs is from the paper's code.
        """
        outputs = self.actors(self.layout.split(batch.observations))
        penalty = sum(output.square().mean() for output in outputs)
        loss = self.settings.logit_penalty * penalty - self._values_of(batch, outputs)
        if not self.layout.discrete:
            return loss, None
        with torch.no_grad():
            logs = [output.log_softmax(dim=1) for output in outputs]
            entropy = torch.stack([-(log.exp() * log).sum(dim=1).mean() for log in logs]).mean()
        return loss, entropy

    def _values_of(self, batch: Batch, outputs: Sequence[torch.Tensor]) -> torch.Tensor:
        """Mean Q_i of one action per agent, which the gradient flows through, summed over agents.

        TD3 uses only the first twin. An action's value differs so little from its neighbour's
        that a twin's error decides where agents come to rest; the mean has a smaller error.
        """
        joint = []
        for agent, output in enumerate(outputs):
            actions = batch.actions.clone()
            actions[:, self.layout.action_columns(agent)] = self._act(agent, output)
            joint.append(actions)
        estimates = [
            self.values(critics, batch.observations, joint.__getitem__, frozen=True).mean(dim=1)
            for critics in self.critics
        ]
        return torch.stack(estimates).mean(dim=0).sum()

    def _act(self, agent: int, output: torch.Tensor) -> torch.Tensor:
        if self.layout.discrete:
            return gumbel_softmax(output, tau=self.settings.temperature, hard=True)
        module = self._modules[agent]
        return squash(output, module.low, module.high)

    def average(self, updates: int, longest: int) -> None:
        """Add the actors to the average actors, after actor update number `updates` (1, ...).

        An exponential moving average over the last third of the updates so far, at most over
        `longest`: theta_mean <- theta_mean + (theta - theta_mean) / min(longest, updates / 3).
        """
        self.average_actors.follow(self.actors, 1 / max(1.0, min(longest, updates / 3)))

    def follow(self, tau: float) -> None:
        """All targets: theta' <- (1 - tau) theta' + tau theta."""
        self.target_actors.follow(self.actors, tau)
        for target, critics in zip(self.target_critics, self.critics, strict=True):
            target.follow(critics, tau)
