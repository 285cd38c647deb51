"""What `savanna train` prints besides its progress: a dry run's plan, and what to type next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from savanna.next_command import next_command
from savanna.runs.directory import RunDirectory
from savanna.runs.group import Group
from savanna.streams import show


def next_steps(run: RunDirectory, root: Path) -> list[str]:
    """What a run came to, and what to type next."""
    status, report = run.status, run.path / "report.html"
    written = run.config["options"]["report"] and report.is_file()
    shares = run.node_shares()
    text = ", ".join(f"{node} {share:.0%}" for node, share in shares.items())
    return [
        *([f"sampled on {len(shares)} nodes: {text}"] if len(shares) > 1 else []),
        f"{status['state']}: {status['reason']}",
        *([f"  report    {report}"] if written else []),
        f"  evaluate  {next_command('evaluate', run=run, root=root)}",
        f"  export    {next_command('export', run=run, root=root)}",
    ]


def group_steps(group: Group, root: Path) -> list[str]:
    """What to type next about runs that one command made; their table was shown as they ended."""
    best = group.best.run
    return [
        f"  table     {next_command('runs', '--group', group.name, root=root)}",
        f"  evaluate  {next_command('evaluate', run=best, root=root)}",
    ]


def show_plan(content: dict[str, Any], *, as_json: bool) -> None:
    """Print what `--dry-run` found."""
    if as_json:
        show(json.dumps(content, indent=2))
        return
    resources = content["resources"]
    show(f"experiment   {content['experiment']} ({content['algorithm']}, {content['env']})")
    show(f"seed         {content['seed']}")
    runs = content["runs"]
    if runs["drawn"]:
        drawn = ", ".join(f"{key}={space}" for key, space in runs["drawn"].items())
        show(f"runs         {runs['count']}: {drawn}")
    show("stop         " + (_listed(content["stop"]) or "none: it goes on until it is stopped"))
    target = content["target"]
    if target and target["old_return"] is not None:
        old = f"{target['old_return']:g} on the retired service's scale"
        show(f"target       return {target['return']:g} ({old})")
    if "actions" in content:
        show(f"actions      {content['actions']}")
        every = content["film_every"]
        show("films        " + (f"every {every} episodes of a world" if every else "none"))
    for note in content["notes"]:
        show(f"note         {note}")
    show(
        f"resources    {resources['env_runners']} env runners and one learner on "
        f"{resources['learner_device']}, of {resources['cpus']} CPUs, {resources['gpus']} GPUs"
    )
    settings = {**content["preset"], **content["overrides"]}
    for key in sorted(settings):
        show(f"  {key} = {settings[key]}" + ("   (--set)" if key in content["overrides"] else ""))


def _listed(stop: dict[str, float]) -> str:
    return ", ".join(f"{rule} {limit:g}" for rule, limit in stop.items())
