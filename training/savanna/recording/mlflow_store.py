"""What MLflow is told about a run besides its metrics, and where it is told."""

from __future__ import annotations

import json
import logging
import os
import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from savanna.recording.mlflow_database import prepare, sqlite_uri
from savanna.runs.directory import RunDirectory

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

ALIASES = {"training_iteration": "iteration"}
"""Names that RLlib's users know -> our column."""

EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}

ARTIFACTS = ("config.json", "metadata.json", "status.json", "evaluations.json", "report.html")

SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # A server that does not answer must not keep the thread for MLflow's default of minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Environment variables of MLflow that are set unless the user has set them."""

_MAX_VALUE = 500  # characters of a parameter; what old servers and Azure ML accept
_NOT_ALLOWED = re.compile(r"[^\w\-. :/]")


def import_mlflow() -> None:
    """Import MlflowClient quietly, which takes seconds."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import mlflow.tracking  # noqa: F401

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def open_store(uri: str) -> MlflowClient:
    """Connect to `uri`; a SQLite file that it names is made if need be."""
    import_mlflow()
    from mlflow.tracking import MlflowClient

    prepare(uri)
    return MlflowClient(tracking_uri=uri)


def why_not(uri: str) -> str:
    """Why a run cannot be tracked at `uri`; "" where it can be tried."""
    plugins = {plugin.name for plugin in entry_points(group="mlflow.tracking_store")}
    if not uri.startswith("azureml:") or "azureml" in plugins:
        return ""
    return (
        f"MLFLOW_TRACKING_URI={uri} is an Azure ML workspace, which MLflow cannot reach without "
        "Azure's plugin. This run is not tracked in MLflow, metrics.csv has everything. Unset the "
        "variable to track in runs/mlflow.db, or name an MLflow server."
    )


def is_server(uri: str) -> bool:
    """Whether `uri` names something that may not answer; files do."""
    return "://" in uri and not uri.startswith(("sqlite", "file:"))


def default_uri(run: RunDirectory) -> str:
    """The SQLite file in the runs folder, `runs/mlflow.db`."""
    return sqlite_uri(run.path.parent.parent / "mlflow.db")


def public_uri(uri: str) -> str:
    """`uri` without user name and password, for files and messages."""
    parts = urlsplit(uri)
    if "@" not in parts.netloc:
        return uri
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def parameters(config: dict[str, Any]) -> dict[str, str]:
    """The essentials of `config.json` as MLflow parameters, nested names joined by dots."""
    found: dict[str, str] = {}
    for name in ("experiment", "algorithm", "env", "seed"):
        if name in config:
            found[name] = str(config[name])
    for group in ("env_config", "stop", "resources", "overrides", "preset"):
        for key, value in dict(config.get(group) or {}).items():
            text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            found[_NOT_ALLOWED.sub("_", f"{group}.{key}")] = text
    return {name: text[:_MAX_VALUE] for name, text in found.items()}


def tags(run: RunDirectory, config: dict[str, Any]) -> dict[str, str]:
    """Commit, versions and hardware of `metadata.json` as MLflow tags."""
    metadata = run.metadata
    found = {
        "mlflow.source.name": " ".join(map(str, metadata.get("command") or ["savanna"])),
        "mlflow.source.type": "LOCAL",
        "savanna.run": run.id,
        "savanna.path": str(run.path),
        "savanna.env": str(config.get("env", "")),
        "savanna.algorithm": str(config.get("algorithm", "")),
        "version.savanna": str(metadata.get("savanna", "")),
    }
    git = metadata.get("git") or {}
    if git.get("sha"):
        found["mlflow.source.git.commit"] = str(git["sha"])
        found["git.dirty"] = str(bool(git.get("dirty"))).lower()
    for package, version in dict(metadata.get("versions") or {}).items():
        found[f"version.{package}"] = str(version)
    for name, value in dict(metadata.get("hardware") or {}).items():
        found[f"hardware.{name}"] = (
            ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        )
    return {name: value for name, value in found.items() if value}


def artifacts_of(run: RunDirectory) -> list[Path]:
    """The small files of the run that exist."""
    return [run.path / name for name in ARTIFACTS if (run.path / name).is_file()]
