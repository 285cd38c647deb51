"""`python -m infra.local`: up, status, logs, scale, down. `make cluster-...` calls it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from infra.facts import number
from infra.local import cluster, context
from infra.local.containers import Containers, connect
from infra.local.nodes import Unauthorized
from infra.local.settings import (
    GIB,
    LocalError,
    LocalUsageError,
    Settings,
    check_name,
    choose_sizes,
    parse_memory,
)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    for verb, help_text in (
        ("up", "create or repair the cluster and wait until every node has joined"),
        ("status", "which containers there are and which have joined"),
        ("logs", "what the containers print"),
        ("scale", "change the number of workers"),
        ("down", "keep the results and remove everything else"),
    ):
        one = verbs.add_parser(verb, help=help_text, allow_abbrev=False)
        one.add_argument("--name", default="savanna", help="of the cluster (default: savanna)")
        if verb in ("up", "scale"):
            one.add_argument("--workers", type=int, default=2, help="containers beside the head")
            one.add_argument("--image", default="savanna-cpu:latest")
            one.add_argument("--port", type=int, default=number("DASHBOARD_PORT"),
                             help="of the dashboard and the Jobs API on 127.0.0.1")  # fmt: skip
            for node in ("head", "worker"):
                one.add_argument(f"--{node}-cpus", type=int, help="CPUs Ray may plan with")
                one.add_argument(f"--{node}-memory", type=parse_memory, help="such as 4g")
            one.add_argument("--env", action="append", default=[], metavar="NAME=VALUE",
                             help="a setting for every container; no secrets")  # fmt: skip
            one.add_argument("--timeout", type=float, default=180, help="seconds to wait")
        elif verb == "status":
            one.add_argument("--json", action="store_true")
        elif verb == "logs":
            one.add_argument("node", nargs="?", help="head, worker-1, ... (default: all)")
            one.add_argument("-n", "--tail", type=int, default=50, help="lines of each")
            one.add_argument("-f", "--follow", action="store_true", help="needs a node")
        else:
            one.add_argument("--results", type=Path, default=Path("runs"),
                             help="folder for the cluster's runs (default: runs)")  # fmt: skip
            one.add_argument("--discard", action="store_true", help="keep no results")
    return top


def settings_for(options: argparse.Namespace, containers: Containers) -> Settings:
    head, worker = choose_sizes(
        # So that scaling does not change the sizes of those that are there.
        max(2, options.workers),
        containers.host_cpus,
        containers.host_memory,
        options.head_cpus,
        options.worker_cpus,
        options.head_memory,
        options.worker_memory,
    )
    if options.workers < 0:
        raise LocalUsageError(f"workers {options.workers}: must be at least 0")
    pairs = [tuple(item.split("=", 1)) for item in options.env]
    if any(len(pair) != 2 for pair in pairs):
        raise LocalUsageError("--env: write NAME=VALUE")
    return Settings(
        name=options.name,
        image=options.image,
        image_id=containers.image_id(options.image),
        head=head,
        worker=worker,
        port=options.port,
        environment=tuple(sorted(pairs)),
    )


def bring_up(options: argparse.Namespace, containers: Containers) -> None:
    began = time.monotonic()
    settings = settings_for(options, containers)
    promised = settings.head.cpus + options.workers * settings.worker.cpus
    say(
        f"head {settings.head.cpus} CPUs {settings.head.memory / GIB:.1f} GiB, {options.workers} "
        f"workers of {settings.worker.cpus} CPUs {settings.worker.memory / GIB:.1f} GiB"
    )
    if promised > containers.host_cpus:
        say(f"note: {promised} CPUs promised to Ray on {containers.host_cpus} cores")
    if options.verb == "up":
        cluster.up(containers, settings, options.workers, options.timeout, say)
    else:
        cluster.scale(containers, settings, options.workers, options.timeout, say)
    say(
        f"ready after {time.monotonic() - began:.0f} s. Next:\n"
        f"  savanna submit pong --workers {options.workers} --wait\n"
        f"  make cluster-status    the dashboard is at http://127.0.0.1:{settings.port}, token in "
        f"{context.token_file(options.name)}\n"
        "  make cluster-down      keeps the results in runs/"
    )


def show_status(options: argparse.Namespace, containers: Containers) -> int:
    found = containers.all()
    if not found:
        say(f"there is no cluster {options.name}: make cluster-up")
        return 1
    head = containers.head()
    bound = head.ports.get(f"{number('DASHBOARD_PORT')}/tcp") if head else None
    port = int(bound[0]["HostPort"]) if bound else 0
    try:
        there = cluster.joined(containers, port, context.read_token(options.name) or "")
    except Unauthorized:
        say(f"warning: the head refuses the token in {context.token_file(options.name)}")
        there = {str(c.name): None for c in found}
    rows = [
        {
            "node": c.name,
            "container": c.status,
            "health": c.attrs["State"].get("Health", {}).get("Status", "-"),
            "joined": node is not None,
            "cpus": node.cpus if node else None,
        }
        for c in found
        for node in [there.get(str(c.name))]
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        print(f"{'node':24} {'container':11} {'health':10} {'joined':7} cpus")
        for row in rows:
            yes = "yes" if row["joined"] else "no"
            print(
                f"{row['node']:24} {row['container']:11} {row['health']:10} {yes:7} "
                f"{row['cpus'] or '-'}"
            )
    return 0 if all(row["joined"] for row in rows) else 1


def show_logs(options: argparse.Namespace, containers: Containers) -> None:
    names = {str(c.name).removeprefix(f"{options.name}-"): c for c in containers.all()}
    if options.follow and not options.node:
        raise LocalUsageError(f"--follow needs a node: {', '.join(names)}")
    if options.node and options.node not in names:
        raise LocalUsageError(f"no node {options.node!r}. There are: {', '.join(names) or 'none'}")
    if options.follow:
        lines = names[options.node].logs(stream=True, follow=True, tail=options.tail)
        for line in lines:
            print(line.decode(errors="replace"), end="", flush=True)
        return
    for name, container in names.items():
        if options.node in (None, name):
            print(f"--- {name} ---")
            print(container.logs(tail=options.tail).decode(errors="replace").rstrip())


def main(argv: list[str] | None = None) -> int:
    try:
        options = parser().parse_args(argv)
        check_name(options.name)
        containers = Containers(connect(), options.name)
        if options.verb in ("up", "scale"):
            bring_up(options, containers)
        elif options.verb == "status":
            return show_status(options, containers)
        elif options.verb == "logs":
            show_logs(options, containers)
        else:
            cluster.down(containers, None if options.discard else options.results, say)
    except LocalError as error:
        for line in str(error).splitlines():
            say(f"cluster: {line}")
        return error.exit_code
    except KeyboardInterrupt:
        say("interrupted; `make cluster-status` shows what is there")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
