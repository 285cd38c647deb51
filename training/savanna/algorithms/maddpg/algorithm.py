"""MADDPG's driver: the one of all our algorithms, plus the number of agents."""

from __future__ import annotations

from typing import Any

from savanna.algorithms.driver import FragmentDriver
from savanna.algorithms.maddpg.config import MADDPGConfig


class MADDPG(FragmentDriver):
    """Multi-Agent Deep Deterministic Policy Gradient (Lowe et al. 2017).

    Env runners sample while the learner makes the updates that the previous fragment paid for
    (`world_steps_per_update`): the ratio does not depend on the number of env runners.
    """

    @classmethod
    def get_default_config(cls) -> MADDPGConfig:
        return MADDPGConfig(algo_class=MADDPG)

    def train(self) -> dict[str, Any]:
        """RLlib's result, with `num_agents`: a world step is a step of each of them."""
        return super().train() | {"num_agents": len(self.config.agents())}
