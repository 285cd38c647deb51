"""The options that choose the cluster for a command."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from savanna.cli.parser import Parser
from savanna.cli.values import path

if TYPE_CHECKING:
    from savanna.jobs.jobs import Jobs


def add_cluster_options(parser: Parser) -> None:
    group = parser.add_argument_group("cluster")
    group.add_argument(
        "--cluster", type=path, metavar="FILE", help="cluster file (default: .savanna/cluster.json)"
    )
    group.add_argument(
        "--address",
        metavar="URL",
        help="instead of a file: the Jobs API, e.g. http://127.0.0.1:8265 (default: "
        "RAY_API_SERVER_ADDRESS)",
    )
    group.add_argument(
        "--token-file",
        type=path,
        metavar="FILE",
        help="file with the cluster's token (default: RAY_AUTH_TOKEN_PATH)",
    )
    group.add_argument("--results", metavar="DIR", help="folder of the run directories on the head")


def same_cluster(options: argparse.Namespace) -> str:
    """The given cluster options, to repeat in printed commands."""
    given = {
        "--cluster": options.cluster,
        "--address": options.address,
        "--token-file": options.token_file,
        "--results": options.results,
    }
    words = [str(w) for name, value in given.items() if value is not None for w in (name, value)]
    return "".join(f" {shlex.quote(word)}" for word in words)


def open_jobs(options: argparse.Namespace) -> Jobs:
    """Connect to the cluster that the options name, and return its jobs."""
    from savanna.jobs.known_cluster import find_cluster

    cluster = find_cluster(options.cluster, options.address, options.token_file, options.results)
    from savanna.jobs.client import JobsClient
    from savanna.jobs.jobs import Jobs

    return Jobs(JobsClient(cluster))
