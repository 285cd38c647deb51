"""`savanna status`, `logs`, `stop`, `wait` and `fetch`: jobs on a cluster."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from savanna.cli.cluster_options import add_cluster_options, open_jobs, same_cluster
from savanna.cli.job_output import as_dict, exit_code, leave, show_end, show_job, show_table
from savanna.cli.parser import Parser
from savanna.cli.submit import add_submit_parser
from savanna.cli.values import duration, path
from savanna.errors import SavannaError
from savanna.streams import say, show, show_bytes


def add_parsers(commands: Any) -> None:
    add_submit_parser(commands)
    status = _command(commands, "status", "show the jobs of a cluster, or one of them", run_status)
    status.add_argument("job", nargs="?", metavar="JOB", help="a job, in detail")
    status.add_argument("--json", action="store_true", help="print JSON")
    logs = _command(commands, "logs", "print the log of a job", run_logs)
    logs.add_argument("job", metavar="JOB")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the job has ended")
    stop = _command(commands, "stop", "stop a job, with a checkpoint", run_stop)
    stop.add_argument("job", metavar="JOB")
    stop.add_argument("--no-wait", dest="wait", action="store_false", help="return at once")
    wait = _command(
        commands,
        "wait",
        "wait until a job has ended: 0 succeeded, 1 failed, 2 refused, 130 stopped",
        run_wait,
    )
    wait.add_argument("job", metavar="JOB")
    wait.add_argument(
        "--timeout", type=duration, metavar="TIME", help="give up waiting after it, e.g. 10m"
    )
    wait.add_argument("--json", action="store_true", help="print the job as JSON at the end")
    fetch = _command(commands, "fetch", "bring a job's run directory here", run_fetch)
    fetch.add_argument("reference", metavar="JOB|RUN", help="a job, or a run as experiment/id")
    fetch.add_argument(
        "--to", type=path, default=Path("runs"), metavar="DIR", help="folder of the runs here"
    )
    fetch.add_argument("--force", action="store_true", help="replace a run that differs")


def _command(commands: Any, name: str, text: str, run: Any) -> Parser:
    parser: Parser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}."
    )
    add_cluster_options(parser)
    parser.set_defaults(run=run)
    return parser


def run_status(options: argparse.Namespace) -> int:
    jobs = open_jobs(options)
    if options.job:
        job = jobs.look(options.job)
        if options.json:
            show(json.dumps(as_dict(job), indent=2))
        else:
            show_job(job)
        return 0
    every = jobs.all()
    if options.json:
        show(json.dumps([as_dict(job) for job in every], indent=2))
    elif not every:
        show(f"no jobs on {jobs.client.cluster.name} yet; `savanna submit` makes one")
    else:
        show_table(every)
    return 0


def run_logs(options: argparse.Namespace) -> int:
    from savanna.jobs.follow import follow

    jobs = open_jobs(options)
    if not options.follow:
        job = jobs.look(options.job)
        for part in jobs.log(job):
            show_bytes(part)
        if job.state.lost:
            raise SavannaError(f"the log is gone: {job.state.cause}")
        return 0

    def write(text: str) -> None:
        show(text, end="")

    try:
        job = follow(jobs, options.job, write, say)
    except KeyboardInterrupt:
        return leave(options.job, same_cluster(options))
    if job.state.lost:
        raise SavannaError(f"the log ends here: {job.state.cause}")
    return 0


def run_stop(options: argparse.Namespace) -> int:
    from savanna.jobs.follow import wait

    jobs = open_jobs(options)
    job = jobs.look(options.job)
    if job.state.terminal:
        say(f"{job.id} has ended already")
    else:
        jobs.stop(job.id)
        if not options.wait:
            say(f"{job.id} was asked to stop")
            return 0
        job = wait(jobs, job.id, say)
    show(job.state.name)
    if job.state.resumable:
        say(f"  go on  savanna submit --resume {job.state.run}{same_cluster(options)}")
    return 0


def run_wait(options: argparse.Namespace) -> int:
    from savanna.jobs.follow import wait

    jobs = open_jobs(options)
    try:
        job = wait(jobs, options.job, say, timeout=options.timeout)
    except KeyboardInterrupt:
        return leave(options.job, same_cluster(options))
    show_end(job, same_cluster(options), as_json=options.json)
    return exit_code(job)


def run_fetch(options: argparse.Namespace) -> int:
    from savanna.jobs.fetch import fetch, open_command, run_of

    jobs = open_jobs(options)
    run = run_of(jobs, options.reference)
    try:
        path = fetch(jobs, run, options.to, say, force=options.force)
    except KeyboardInterrupt:
        say("Interrupted. What has arrived is kept: the same command goes on from there.")
        return 130
    show(path)
    if (path / "report.html").is_file():
        say(f"  look  {open_command(path)}")
    return 0
