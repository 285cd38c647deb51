"""IMPALA (Espeholt et al. 2018) on RLlib's extension points, built for speed."""

from savanna.algorithms.impala.algorithm import Impala
from savanna.algorithms.impala.config import ImpalaConfig

__all__ = ["Impala", "ImpalaConfig"]
