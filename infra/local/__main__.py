"""`python -m infra.local`: up, status, logs, scale, down. `make cluster-...` calls this."""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
import time

import requests
from docker.errors import DockerException

from infra.facts import number
from infra.local import cluster, context
from infra.local.containers import Containers, connect
from infra.local.nodes import Unauthorized
from infra.local.options import parser, settings_for
from infra.local.settings import GIB, LocalError, LocalUsageError, check_name


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def bring_up(options: argparse.Namespace, containers: Containers) -> None:
    began = time.monotonic()
    if options.verb == "scale":
        cluster.scale(containers, options.workers, options.timeout, say)
        say(f"{options.workers} workers after {time.monotonic() - began:.0f} s")
        return
    settings = settings_for(options, containers)
    promised = settings.head.cpus + options.workers * settings.worker.cpus
    say(
        f"head {settings.head.cpus} CPUs {settings.head.memory / GIB:.1f} GiB, {options.workers} "
        f"workers of {settings.worker.cpus} CPUs {settings.worker.memory / GIB:.1f} GiB"
    )
    if promised > containers.host_cpus:
        say(f"note: Ray may use {promised} CPUs on {containers.host_cpus} cores")
    cluster.up(containers, settings, options.workers, options.timeout, say)
    name = "" if options.name == "savanna" else f' ARGS="--name {options.name}"'
    say(
        f"ready after {time.monotonic() - began:.0f} s. Next:\n"
        f"  savanna submit pong --workers {options.workers} --wait\n"
        f"  make cluster-status{name}\n"
        f"  make cluster-down{name}      keeps the results in runs/\n"
        f"The dashboard is at http://127.0.0.1:{settings.port}, its token is in "
        f"{context.token_file(options.name)}"
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
        there = cluster.joined(containers, port, cluster.token_of(containers) or "")
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
        raise LocalUsageError(
            f"no node {options.node!r}. Known nodes: {', '.join(names) or 'none'}"
        )
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
    except (DockerException, requests.RequestException, OSError, tarfile.TarError) as error:
        say(f"cluster: {getattr(error, 'explanation', None) or error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted; `make cluster-status` shows what exists")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
