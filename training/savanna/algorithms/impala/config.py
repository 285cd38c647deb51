"""Settings of our IMPALA. Names are RLlib's wherever RLlib has one."""

from __future__ import annotations

from typing import Any, Self

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from savanna.algorithms.impala.env_runner import AtariEnvRunner
from savanna.algorithms.paced import set_limits
from savanna.algorithms.shared_checks import shared_problems
from savanna.envs.atari import FRAME_SIZES, parse_atari_id
from savanna.errors import UsageError
from savanna.modules.atari import ENCODERS, AtariModule


class ImpalaConfig(AlgorithmConfig):
    """Configures `Impala` for Atari games. What is not named here is RLlib's `AlgorithmConfig`."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class)
        # Learning
        self.lambda_ = 1.0
        self.vtrace_clip_rho_threshold = 1.0
        self.vtrace_clip_c_threshold = 1.0
        self.clip_param: float | None = None
        self.vf_loss_coeff = 0.5
        self.entropy_coeff: Any = 0.01
        self.clip_rewards = True
        self.normalize_advantages = False
        self.num_epochs = 1
        self.minibatch_size = 256
        self.micro_batch_size = 512
        self.grad_clip = 40.0
        self.grad_clip_by = "global_norm"
        self.adam_epsilon = 1e-8
        self.lr = 5e-4
        self.train_batch_size_per_learner = 2048
        # Sampling
        self.env_runner_cls = AtariEnvRunner
        self.rollout_fragment_length = 64
        self.num_envs_per_env_runner = 16
        self.num_env_threads = 1
        self.max_requests_in_flight_per_env_runner = 2
        self.env_config = {"frame_size": 42, "frame_stack": 4, "episodic_life": False}
        # One process learns and drives; see docs/decisions.
        self.num_learners = 0
        self.num_env_runners = 1
        self.create_local_env_runner = False
        self._dont_auto_sync_env_runner_states = True
        self.min_time_s_per_iteration = None
        self.min_sample_timesteps_per_iteration = 8192
        self.restart_failed_env_runners = True
        set_limits(self)

    def training(
        self,
        *,
        lambda_: float = NotProvided,
        vtrace_clip_rho_threshold: float = NotProvided,
        vtrace_clip_c_threshold: float = NotProvided,
        clip_param: float | None = NotProvided,
        vf_loss_coeff: float = NotProvided,
        entropy_coeff: Any = NotProvided,
        clip_rewards: bool = NotProvided,
        normalize_advantages: bool = NotProvided,
        micro_batch_size: int = NotProvided,
        adam_epsilon: float = NotProvided,
        **kwargs: Any,
    ) -> Self:
        """Learning settings.

        Args:
            lambda_: V-trace's lambda (remark 2 of the paper).
            vtrace_clip_rho_threshold: rho-bar.
            vtrace_clip_c_threshold: c-bar.
            clip_param: bound on how far the ratio of the new to the acting policy may move
                (Schulman et al. 2017). Makes reusing a batch safe. `None`: the paper's plain
                policy gradient with weight min(rho-bar, ratio).
            vf_loss_coeff: weight of the value loss, half the mean squared error.
            entropy_coeff: weight of the entropy bonus, or a schedule `[[agent steps, value], ...]`.
            clip_rewards: learn from the sign of rewards; reported returns are not clipped.
            normalize_advantages: to mean 0 and variance 1 over a train batch.
            micro_batch_size: samples in one forward and backward pass on a CPU, whose caches are
                too small for large batches; gradients add up to those of the minibatch.
            adam_epsilon: epsilon of the Adam optimiser.
            kwargs: RLlib's own, among them `num_epochs` (passes over each train batch) and
                `minibatch_size`.
        """
        super().training(**kwargs)
        given = {
            "lambda_": lambda_,
            "vtrace_clip_rho_threshold": vtrace_clip_rho_threshold,
            "vtrace_clip_c_threshold": vtrace_clip_c_threshold,
            "clip_param": clip_param,
            "vf_loss_coeff": vf_loss_coeff,
            "entropy_coeff": entropy_coeff,
            "clip_rewards": clip_rewards,
            "normalize_advantages": normalize_advantages,
            "micro_batch_size": micro_batch_size,
            "adam_epsilon": adam_epsilon,
        }
        for name, value in given.items():
            if value is not NotProvided:
                setattr(self, name, value)
        return self

    def env_runners(self, *, num_env_threads: int = NotProvided, **kwargs: Any) -> Self:
        """Sampling settings.

        Args:
            num_env_threads: emulator threads of each env runner.
            kwargs: RLlib's own.
        """
        super().env_runners(**kwargs)
        if num_env_threads is not NotProvided:
            self.num_env_threads = num_env_threads
        return self

    @property
    def fragment_steps(self) -> int:
        """Agent steps that one env runner returns at a time."""
        return int(self.get_rollout_fragment_length() * self.num_envs_per_env_runner)

    @property
    def fragments_per_batch(self) -> int:
        return max(1, -(-self.train_batch_size_per_learner // self.fragment_steps))

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return super()._model_config_auto_includes | {
            "encoder": "medium" if self.env_config.get("frame_size") == 42 else "nature",
            "standardize_frames": 100_000,
            "bfloat16": None,
        }

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        return RLModuleSpec(module_class=AtariModule)

    def get_default_learner_class(self) -> type:
        from savanna.algorithms.impala.atari_learner import AtariLearner

        return AtariLearner

    def check_environment(self) -> None:
        """`UsageError` unless its name and settings, and those of its network, can be used."""
        if isinstance(self.env, str):
            parse_atari_id(self.env)
        if self.env_config.get("frame_size") not in FRAME_SIZES:
            raise UsageError(f"env_config.frame_size must be one of {FRAME_SIZES}.")
        if self.model_config.get("encoder") not in ENCODERS:
            raise UsageError(f"model_config.encoder must be one of {', '.join(ENCODERS)}.")

    def validate(self) -> None:
        """Raises `UsageError` that names the setting and what it may be."""
        super().validate()
        problems = shared_problems(self)
        if problems:
            raise UsageError("\n".join(problems))
        self.check_environment()
        if self.num_learners != 0:
            raise UsageError(
                "num_learners must be 0: this IMPALA learns in its driver's process, on the GPU "
                "where there is one (num_gpus_per_learner=1)."
            )
        if self.grad_clip is not None and self.grad_clip_by != "global_norm":
            raise UsageError("grad_clip_by must be 'global_norm'.")
        for name in ("num_epochs", "minibatch_size", "micro_batch_size", "num_env_threads"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise UsageError(f"{name} must be a whole number of at least 1.")
