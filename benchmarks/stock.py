"""Stock RLlib 2.60 IMPALA on Pong: the settings of RLlib's own tuned Pong example, nothing of ours.

Five Python-wrapped 64 x 64 environments per env runner, fragments of 50, batches of 500, one pass.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym


def make_env(settings: dict[str, Any]) -> gym.Env[Any, Any]:
    import ale_py
    from ray.rllib.env.wrappers.atari_wrappers import wrap_atari_for_new_api_stack

    gym.register_envs(ale_py)
    env = gym.make(
        "ale_py:ALE/Pong-v5", frameskip=1, repeat_action_probability=0.0, full_action_space=False
    )
    return wrap_atari_for_new_api_stack(env, dim=64, framestack=None)


def build_config(num_learners: int) -> Any:
    """RLlib's default is 1 learner process; 0 (learning in the driver) suits a small machine."""
    from ray.rllib.algorithms.impala import IMPALAConfig
    from ray.rllib.connectors.env_to_module.frame_stacking import FrameStackingEnvToModule
    from ray.rllib.connectors.learner.frame_stacking import FrameStackingLearner
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig
    from ray.tune.registry import register_env

    register_env("stock-pong", make_env)
    return (
        IMPALAConfig()
        .environment("stock-pong", clip_rewards=True)
        .env_runners(
            num_env_runners=2,  # RLlib's default
            num_envs_per_env_runner=5,
            rollout_fragment_length=50,
            env_to_module_connector=lambda *a, **k: FrameStackingEnvToModule(num_frames=4),
        )
        .learners(num_learners=num_learners)
        .training(
            learner_connector=lambda *a, **k: FrameStackingLearner(num_frames=4),
            train_batch_size_per_learner=500,
            grad_clip=30.0,
            lr=9e-4,
            vf_loss_coeff=1.0,
            entropy_coeff=[[0, 0.02], [3_000_000, 0.0]],
        )
        .rl_module(
            model_config=DefaultModelConfig(
                vf_share_layers=True,
                conv_filters=[(16, 4, 2), (32, 4, 2), (64, 4, 2), (128, 4, 2)],
                conv_activation="relu",
                head_fcnet_hiddens=[256],
            )
        )
        .reporting(min_time_s_per_iteration=5)
    )
