"""MADDPG (Lowe et al. 2017) on RLlib's extension points, with batched agents and worlds."""

from savanna.algorithms.maddpg.algorithm import MADDPG
from savanna.algorithms.maddpg.config import MADDPGConfig

__all__ = ["MADDPG", "MADDPGConfig"]
