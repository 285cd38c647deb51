"""IMPALA (Espeholt et al. 2018) on RLlib's extension points, built for speed."""

from training.algorithms.impala.algorithm import Impala
from training.algorithms.impala.config import ImpalaConfig

__all__ = ["Impala", "ImpalaConfig"]
