"""The command line of `python -m infra.local`, and the settings that follow from it."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from infra.facts import facts, number
from infra.local.containers import Containers
from infra.local.settings import (
    LocalError,
    LocalUsageError,
    Node,
    Settings,
    check_fits,
    choose_sizes,
    parse_memory,
)

IMAGE = "savanna-cpu:latest"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    for verb, help_text in (
        ("up", "create or repair the cluster and wait until every node has joined"),
        ("status", "show the containers and which have joined"),
        ("logs", "show the output of the containers"),
        ("scale", "change the number of workers"),
        ("down", "keep the results and remove everything else"),
    ):
        one = verbs.add_parser(verb, help=help_text, allow_abbrev=False)
        one.add_argument("--name", default="savanna", help="name of the cluster (default: savanna)")
        if verb in ("up", "scale"):
            one.add_argument("--workers", type=int, default=2, help="containers besides the head")
            one.add_argument("--timeout", type=float, default=180, help="seconds to wait")
        if verb == "up":
            one.add_argument("--image", help=f"default: {IMAGE}")
            one.add_argument(
                "--port",
                type=int,
                help="port of the dashboard and the Jobs API on "
                f"127.0.0.1 (default: {facts()['DASHBOARD_PORT']})",
            )
            for node in ("head", "worker"):
                one.add_argument(f"--{node}-cpus", type=int, help="CPUs that Ray may use")
                one.add_argument(f"--{node}-memory", type=parse_memory, help="such as 4g")
            one.add_argument(
                "--env",
                action="append",
                default=[],
                metavar="NAME=VALUE",
                help="a setting for every container; no secrets",
            )
        elif verb == "status":
            one.add_argument("--json", action="store_true")
        elif verb == "logs":
            one.add_argument("node", nargs="?", help="head, worker-1, ... (default: all)")
            one.add_argument("-n", "--tail", type=int, default=50, help="lines per container")
            one.add_argument("-f", "--follow", action="store_true", help="needs a node")
        else:
            one.add_argument(
                "--results",
                type=Path,
                default=Path("runs"),
                help="folder for the cluster's runs (default: runs)",
            )
            one.add_argument("--discard", action="store_true", help="keep no results")
    return top


def settings_for(options: argparse.Namespace, containers: Containers) -> Settings:
    """The existing cluster's settings, or new ones; `LocalError` if they differ."""
    if options.workers < 0:
        raise LocalUsageError(f"workers {options.workers}: must be at least 0")
    existing = containers.settings()
    if existing is None:
        return _new_settings(options, containers)
    wanted = replace(
        existing,
        head=_changed(existing.head, options.head_cpus, options.head_memory),
        worker=_changed(existing.worker, options.worker_cpus, options.worker_memory),
        port=options.port or existing.port,
    )
    if options.image:
        wanted = replace(wanted, image_id=containers.image_id(options.image))
    if options.env:
        wanted = replace(wanted, environment=_pairs(options.env))
    others = existing.differences(wanted)
    if others:
        raise LocalError(
            f"cluster {options.name} exists with other settings ({'; '.join(others)}). Leave them "
            "out, or run `make cluster-down` first."
        )
    check_fits(existing.head, existing.worker, options.workers, containers.host_memory)
    return existing


def _new_settings(options: argparse.Namespace, containers: Containers) -> Settings:
    head, worker = choose_sizes(
        options.workers,
        containers.host_cpus,
        containers.host_memory,
        options.head_cpus,
        options.worker_cpus,
        options.head_memory,
        options.worker_memory,
    )
    image = options.image or IMAGE
    return Settings(
        name=options.name,
        image=image,
        image_id=containers.image_id(image),
        head=head,
        worker=worker,
        port=options.port or number("DASHBOARD_PORT"),
        environment=_pairs(options.env),
    )


def _changed(node: Node, cpus: int | None, memory: int | None) -> Node:
    return Node(node.cpus if cpus is None else cpus, node.memory if memory is None else memory)


def _pairs(texts: list[str]) -> tuple[tuple[str, str], ...]:
    wrong = [text for text in texts if "=" not in text]
    if wrong:
        raise LocalUsageError(f"--env {wrong[0]}: write NAME=VALUE")
    return tuple(sorted((t.partition("=")[0], t.partition("=")[2]) for t in texts))
