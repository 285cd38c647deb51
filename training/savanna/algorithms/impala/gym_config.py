"""Settings of our IMPALA for any environment with one agent."""

from __future__ import annotations

from typing import Any

from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from savanna.algorithms.impala.config import ImpalaConfig
from savanna.algorithms.impala.gym_env_runner import GymEnvRunner
from savanna.errors import UsageError
from savanna.modules.network import DEFAULTS, Network, settings_problems


class GymImpalaConfig(ImpalaConfig):
    """Configures `Impala` for what is not an Atari game."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class)
        self.env_runner_cls = GymEnvRunner
        self.env_config = {}
        self.clip_rewards = False

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return dict(DEFAULTS)

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=Network)

    def get_default_learner_class(self) -> type:
        from savanna.algorithms.impala.learner import ImpalaLearner
        from savanna.algorithms.impala.recurrent_learner import RecurrentLearner

        return RecurrentLearner if self.model_config["use_lstm"] else ImpalaLearner

    def check_environment(self) -> None:
        if problems := settings_problems(self.model_config):
            raise UsageError("\n".join(problems))
