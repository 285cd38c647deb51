"""IMPALA (Espeholt et al. 2018) on RLlib's extension points, built for speed."""

from savanna.algorithms.impala.algorithm import GymImpala, Impala
from savanna.algorithms.impala.config import ImpalaConfig
from savanna.algorithms.impala.gym_config import GymImpalaConfig

__all__ = ["GymImpala", "GymImpalaConfig", "Impala", "ImpalaConfig"]
