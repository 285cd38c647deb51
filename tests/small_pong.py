"""Settings of Pong for tests that only need it to train."""

# Iterations of a second or two instead of ten, so that each node's samples are reported often.
SMALL = (
    "--set",
    "num_envs_per_env_runner=4",
    "--set",
    "rollout_fragment_length=64",
    "--set",
    "train_batch_size_per_learner=512",
    "--set",
    "num_epochs=1",
    "--set",
    "min_sample_timesteps_per_iteration=1000",
)
