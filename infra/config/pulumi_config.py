"""The running program's configuration, as `read.py` expects it. Only this file knows Pulumi."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pulumi
from pulumi.runtime.config import (
    CONFIG,
    get_config_env,
    get_config_secret_keys_env,
    is_config_secret,
)

from infra.config import plain
from infra.config.problems import SettingsError
from infra.config.project import own_values
from infra.config.read import read_cluster, read_foundation, warnings
from infra.config.settings import ClusterSettings, FoundationSettings


class ProgramSettingsError(SettingsError, pulumi.RunError):
    """A `SettingsError` that Pulumi shows without a traceback."""


@contextmanager
def _shown_by_pulumi() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        raise ProgramSettingsError(error.problems) from None


def values() -> dict[str, object]:
    """All values of this project, including unknown keys, which `pulumi.Config` does not list."""
    project = pulumi.get_project()
    given = own_values(project, {**get_config_env(), **CONFIG.get()})
    # Wrong values are printed, so they must not be secret.
    hidden = get_config_secret_keys_env()
    names = {key: f"{project}:{key}" for key in given}
    secret = [key for key, name in names.items() if name in hidden or is_config_secret(name)]
    if secret:
        fix = "no setting is a secret; set it again without --secret"
        raise SettingsError(f"{key} '(secret)': {fix}" for key in secret)
    return given


def cluster_settings() -> ClusterSettings:
    """The cluster's settings, or `SettingsError`; warnings go to Pulumi's log.

    Their values are exported, for `make up` to say what a change of them does.
    """
    now = datetime.now(UTC)
    with _shown_by_pulumi():
        given = values()
        settings = read_cluster(given, pulumi.get_stack(), pulumi.get_organization(), now)
    for line in warnings(settings, now):
        pulumi.log.warn(line)
    pulumi.export("settings", plain.cluster(given, settings))
    return settings


def foundation_settings() -> FoundationSettings:
    """The foundation's settings, or `SettingsError`; their values are exported."""
    with _shown_by_pulumi():
        given = values()
        settings = read_foundation(given, pulumi.get_stack(), datetime.now(UTC))
    pulumi.export("settings", plain.foundation(given, settings))
    return settings
