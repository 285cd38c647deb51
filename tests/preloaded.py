"""What the processes of `warm.py` have imported before they start."""

import importlib
import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["RAY_worker_niceness"] = "0"  # as in every Ray that the command starts

from savanna.forks.template import import_ray

import_ray()

for name in (
    "savanna.algorithms.impala.learner",
    "savanna.algorithms.maddpg.learner",
    "savanna.algorithms.particle_ppo",
    "savanna.cli.main",
    "savanna.evaluation.evaluations",
    "savanna.evaluation.onnx_export",
    "savanna.evaluation.training_films",
    "savanna.session.command",
    "savanna.session.tune",
    "savanna.report.page",
    "mlflow.tracking",
    "mpe2",
    "onnxruntime",
    "ray.rllib.algorithms.ppo.torch.ppo_torch_learner",
    "ray.util.state",
):
    importlib.import_module(name)
