"""Settings of MADDPG. Names are RLlib's wherever RLlib has one."""

from __future__ import annotations

from typing import Any, Self

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from savanna.algorithms.maddpg.checks import WHOLE, problems_of
from savanna.algorithms.maddpg.env_runner import ParticleEnvRunner
from savanna.algorithms.maddpg.layout import Layout
from savanna.algorithms.maddpg.module import MADDPGAgent, MADDPGModule
from savanna.algorithms.paced import set_limits
from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.world import AgentSpec, module_names
from savanna.errors import UsageError


class MADDPGConfig(AlgorithmConfig):
    """Configures `MADDPG`. Everything not named here is RLlib's `AlgorithmConfig`.

    `env` is the name of a particle world, `env_config` the keywords of
    `savanna.envs.particle.make.make_worlds`.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class)
        # Learning
        self.good_policy = "maddpg"
        self.adv_policy = "maddpg"
        self.share_parameters = False
        self.gamma = 0.95
        self.lr = 0.01
        self.critic_lr: Any = None
        self.tau = 0.01
        self.n_step = 1
        self.num_critics = 1
        self.policy_delay = 1
        self.target_noise = 0.0
        self.target_noise_clip = 0.5
        self.gumbel_temperature = 1.0
        self.logit_penalty = 1e-3
        self.average_updates = 2000
        self.grad_clip = 0.5
        self.grad_clip_by = "global_norm"
        self.train_batch_size_per_learner = 1024
        self.replay_capacity = 1_000_000
        self.num_steps_sampled_before_learning_starts = 25_600
        self.world_steps_per_update = 100
        # Sampling
        self.env_runner_cls = ParticleEnvRunner
        self.exploration_noise = 0.1
        self.num_envs_per_env_runner = 64
        self.rollout_fragment_length = 25
        self.max_requests_in_flight_per_env_runner = 2
        self.env_config: dict[str, Any] = {"max_cycles": 25}
        self._model_config = {"actor_hiddens": [64, 64], "critic_hiddens": [64, 64]}
        # One process learns and drives; see docs/decisions.
        self.num_learners = 0
        self.num_env_runners = 1
        self._dont_auto_sync_env_runner_states = True
        self.min_time_s_per_iteration = None
        self.min_sample_timesteps_per_iteration = 16_000
        self.restart_failed_env_runners = True
        set_limits(self)

    def training(
        self,
        *,
        good_policy: str = NotProvided,
        adv_policy: str = NotProvided,
        use_local_critic: bool = NotProvided,
        share_parameters: bool = NotProvided,
        critic_lr: Any = NotProvided,
        tau: float = NotProvided,
        n_step: int = NotProvided,
        num_critics: int = NotProvided,
        policy_delay: int = NotProvided,
        target_noise: float = NotProvided,
        target_noise_clip: float = NotProvided,
        gumbel_temperature: float = NotProvided,
        logit_penalty: float = NotProvided,
        average_updates: int = NotProvided,
        replay_capacity: int = NotProvided,
        num_steps_sampled_before_learning_starts: int = NotProvided,
        world_steps_per_update: float = NotProvided,
        **kwargs: Any,
    ) -> Self:
        """Learning settings.

        Args:
            good_policy: `maddpg`, or `ddpg`, where the critics of agents that are not adversaries
                do not see the others.
            adv_policy: the same for the adversaries.
            use_local_critic: `True` is `ddpg` for both teams, `False` `maddpg`.
            share_parameters: agents with the same role, team and spaces share their networks.
            critic_lr: learning rate of the critics; `None`: that of the actors, `lr`. Both may
                be schedules `[[world steps, value], ...]`.
            tau: weight of the networks in their targets' moving average, per update.
            n_step: steps of rewards in a target.
            num_critics: 2 for twins: the smaller estimate is the target (MATD3), and actors
                follow the mean of both.
            policy_delay: critic updates per actor update (MATD3).
            target_noise: standard deviation of the noise on continuous target actions, as a
                fraction of their range (MATD3).
            target_noise_clip: largest such noise.
            gumbel_temperature: of the Gumbel-softmax used to learn discrete actions.
            logit_penalty: weight of the actors' mean square output.
            average_updates: actor updates that the average actor covers, which is evaluated, filmed
                and exported; 1: the actor as it is.
            replay_capacity: world steps kept.
            num_steps_sampled_before_learning_starts: world steps sampled before the first update,
                and before the first one after resuming (the replay buffer is not saved).
            world_steps_per_update: world steps sampled per update.
            kwargs: RLlib's own, among them `lr`, `gamma`, `train_batch_size_per_learner` (world
                steps in an update) and `grad_clip` (norm of the gradient of one module).
        """
        super().training(**kwargs)
        if use_local_critic is not NotProvided:
            good_policy = adv_policy = "ddpg" if use_local_critic else "maddpg"
        given = {
            "good_policy": good_policy,
            "adv_policy": adv_policy,
            "share_parameters": share_parameters,
            "critic_lr": critic_lr,
            "tau": tau,
            "n_step": n_step,
            "num_critics": num_critics,
            "policy_delay": policy_delay,
            "target_noise": target_noise,
            "target_noise_clip": target_noise_clip,
            "gumbel_temperature": gumbel_temperature,
            "logit_penalty": logit_penalty,
            "average_updates": average_updates,
            "replay_capacity": replay_capacity,
            "num_steps_sampled_before_learning_starts": num_steps_sampled_before_learning_starts,
            "world_steps_per_update": world_steps_per_update,
        }
        for name, value in given.items():
            if value is not NotProvided:
                setattr(self, name, value)
        return self

    def env_runners(self, *, exploration_noise: float = NotProvided, **kwargs: Any) -> Self:
        """Sampling settings.

        Args:
            exploration_noise: standard deviation of the noise on continuous actions, as a fraction
                of their range; the mean over the worlds, which get from none to twice as much.
                Discrete actions are drawn from the policy.
            kwargs: RLlib's own; `num_envs_per_env_runner` counts worlds.
        """
        super().env_runners(**kwargs)
        if exploration_noise is not NotProvided:
            self.exploration_noise = exploration_noise
        return self

    fragments_per_batch = 1
    """The learner stores fragments one by one, and makes the updates that each one pays for."""

    def agents(self) -> tuple[AgentSpec, ...]:
        """The agents of the world, in its order."""
        return make_worlds(self.env, 1, **self.env_config).agents

    def layout(self) -> Layout:
        agents = self.agents()
        return Layout(
            observation_sizes=tuple(a.observation_size for a in agents),
            action_widths=tuple(a.num_actions or a.action_size for a in agents),
            discrete=all(a.num_actions > 0 for a in agents),
        )

    def local(self) -> tuple[bool, ...]:
        """Per agent: whether its critic does not see the others."""
        teams = {"good": self.good_policy, "adversary": self.adv_policy}
        return tuple(teams[agent.team] == "ddpg" for agent in self.agents())

    def module_of_agent(self) -> tuple[str, ...]:
        """Per agent: the ID of its module, its name or one ID for all interchangeable agents."""
        return module_names(self.agents(), shared=self.share_parameters)

    def get_multi_rl_module_spec(
        self, *, inference_only: bool = False, **kwargs: Any
    ) -> MultiRLModuleSpec:
        agents, layout, local = self.agents(), self.layout(), self.local()
        specs: dict[str, RLModuleSpec] = {}
        for index, name in enumerate(self.module_of_agent()):
            observations, actions = agents[index].spaces
            specs[name] = RLModuleSpec(
                module_class=MADDPGAgent,
                observation_space=observations,
                action_space=actions,
                inference_only=inference_only,
                model_config=self.model_config
                | {
                    "critic_width": layout.critic_width(index, local[index]),
                    "critics": self.num_critics,
                },
            )
        return MultiRLModuleSpec(
            multi_rl_module_class=MADDPGModule, rl_module_specs=specs, inference_only=inference_only
        )

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return {"actor_hiddens": [64, 64], "critic_hiddens": [64, 64]}

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=MADDPGAgent)

    def get_default_learner_class(self) -> type:
        from savanna.algorithms.maddpg.learner import MADDPGLearner

        return MADDPGLearner

    def validate(self) -> None:
        """Raises `UsageError` that names every wrong setting and what it may be."""
        if not self._is_frozen:
            for name in WHOLE:  # people write 1e6
                value = getattr(self, name)
                if isinstance(value, float) and value.is_integer():
                    setattr(self, name, int(value))
        problems = problems_of(self)
        if problems:
            raise UsageError("\n".join(problems))
        # Without env runner processes, the driver samples.
        self.create_local_env_runner = self.num_env_runners == 0
        super().validate()
