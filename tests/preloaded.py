"""What the processes of `warm.py` have imported before they begin."""

import importlib
import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_worker_niceness"] = "0"  # as in every Ray that the command starts

from training.forks.template import import_ray

import_ray()

for name in (
    "training.algorithms.impala.learner",
    "training.algorithms.maddpg.learner",
    "training.algorithms.particle_ppo",
    "training.cli.main",
    "training.evaluation.measure",
    "training.evaluation.onnx_export",
    "training.evaluation.team_film",
    "training.orchestration.trainer",
    "training.orchestration.tuning",
    "training.report.page",
    "mlflow.tracking",
    "mpe2",
    "onnxruntime",
    "ray.rllib.algorithms.ppo.torch.ppo_torch_learner",
    "ray.util.state",
):
    importlib.import_module(name)
