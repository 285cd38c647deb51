"""IMPALA's driver: the one of all our algorithms."""

from __future__ import annotations

from savanna.algorithms.driver import FragmentDriver
from savanna.algorithms.impala.config import ImpalaConfig
from savanna.algorithms.impala.gym_config import GymImpalaConfig


class Impala(FragmentDriver):
    """Importance Weighted Actor-Learner Architecture (Espeholt et al. 2018).

    Env runners sample without pause with slightly old weights; V-trace corrects for that. Every
    fragment is used for training.
    """

    @classmethod
    def get_default_config(cls) -> ImpalaConfig:
        return ImpalaConfig(algo_class=Impala)


class GymImpala(Impala):
    """The same for any environment with one agent."""

    @classmethod
    def get_default_config(cls) -> GymImpalaConfig:
        return GymImpalaConfig(algo_class=GymImpala)
