"""IMPALA's driver: everything in it is that of all our algorithms."""

from __future__ import annotations

from savanna.algorithms.driver import FragmentDriver
from savanna.algorithms.impala.config import ImpalaConfig


class Impala(FragmentDriver):
    """Importance Weighted Actor-Learner Architecture (Espeholt et al. 2018).

    Env runners sample without pause under slightly old weights; V-trace corrects for it. Every
    fragment is trained on.
    """

    @classmethod
    def get_default_config(cls) -> ImpalaConfig:
        return ImpalaConfig()
