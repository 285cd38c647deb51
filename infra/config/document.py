"""The page of all settings: `python -m infra.config.document > docs/azure-settings.md`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from infra.config import project
from infra.config.pools import POOL_KEYS
from infra.facts import ROOT

INTRODUCTION = """\
# Settings on Azure

<!-- Made by `python -m infra.config.document` from the two Pulumi.yaml files. -->

Set them with `pulumi config set KEY VALUE`, or in `Pulumi.STACK.yaml` beside the `Pulumi.yaml`, as
`Pulumi.dev.yaml.example` shows. Nothing is a secret: passwords do not exist, tokens are made by the
programs and kept in the key vault. Every mistake is reported before anything is created, all of
them at once. Why they are as they are: [decisions/azure-settings.md](decisions/azure-settings.md).
"""


def page() -> str:
    """The page as Markdown."""
    pools = ((name, default, text) for name, (default, text) in POOL_KEYS.items())
    return "\n".join(
        [
            INTRODUCTION,
            *_section("The cluster", project.CLUSTER),
            "## A worker pool",
            "",
            "An entry of `pools`; there may be any number of them.",
            "",
            *_table(pools),
            *_section("The foundation", project.FOUNDATION),
        ]
    )


def _section(title: str, path: Path) -> list[str]:
    keys = project.load(path).keys.values()
    rows = ((key.name, key.default, f"{key.description} ({key.type})") for key in keys)
    return [f"## {title}", "", f"`{path.relative_to(ROOT)}`", "", *_table(rows)]


def _table(rows: Iterable[tuple[str, object, str]]) -> list[str]:
    head = ["| key | default | what it is |", "| --- | --- | --- |"]
    return [*head, *(f"| `{key}` | {_shown(value)} | {text} |" for key, value, text in rows), ""]


def _shown(default: object) -> str:
    if default is None:
        return "must be set"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if default in ("", []):
        return "empty"
    return f"`{str(default).strip()}`"


if __name__ == "__main__":
    print(page(), end="")
