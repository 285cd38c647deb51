"""`savanna submit`: the options of `savanna train`, sent to a cluster."""

from __future__ import annotations

import argparse
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from savanna.cli.cluster_options import add_cluster_options, open_jobs, same_cluster
from savanna.cli.job_output import exit_code, leave, show_end
from savanna.cli.parser import Parser
from savanna.cli.train_options import add_options, request_from
from savanna.cli.train_options import arguments as translated
from savanna.cli.values import path
from savanna.errors import UsageError
from savanna.jobs.states import State
from savanna.planning.request import TrainRequest
from savanna.planning.target_return import OLD_RETURN
from savanna.streams import say, show

EXAMPLES = """examples:
  savanna submit pong --workers 2
  savanna submit pong --wait --retries 2
  savanna submit cartpole --env my_game:MyGame --stop return=100
  savanna submit --resume pong/20261121T120000Z-s0 --stop return=20"""
REFUSED = {
    "--dry-run": "use `savanna train --dry-run` here instead",
    "--runs-root": "a cluster has its own folder for runs; download them with `savanna fetch`",
}


def add_submit_parser(commands: Any) -> None:
    parser: Parser = commands.add_parser(
        "submit",
        help="train on a cluster",
        description="Train on a cluster: check the options here, then run `savanna train` there.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    _add_job_options(parser)
    parser.set_defaults(run=run)


def _add_job_options(parser: Parser) -> None:
    """The options for the job itself, which `savanna train` does not get."""
    job = parser.add_argument_group("job")
    job.add_argument("--wait", action="store_true", help="wait until the job ends")
    job.add_argument(
        "--retries",
        type=int,
        metavar="N",
        help="with --wait: after a failure, resubmit from the last checkpoint, at most N times",
    )
    job.add_argument(
        "--py-modules",
        type=path,
        action="append",
        default=[],
        metavar="PATH",
        help="a .py file or package to send along; --env module:Class and your own experiment send "
        "their own modules",
    )
    job.add_argument("--json", action="store_true", help="print JSON")
    add_cluster_options(parser)


def arguments(argv: list[str]) -> list[str]:
    """Translate the retired service's options in `argv` (the words after `submit`) and say so."""
    for word in argv:
        name = word.partition("=")[0]
        if name in REFUSED:
            raise UsageError(f"submit has no {name}: {REFUSED[name]}.")
    own, train = _split(argv)
    return [*translated(train), *own]


class _Word(str):
    """A word of the command line with its own identity, even if another word is equal."""


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """The job's options and those of `savanna train`, as given."""
    parser = Parser(prog="savanna submit", add_help=False)
    _add_job_options(parser)
    words = [_Word(word) for word in argv]
    _, rest = parser.parse_known_args(words)
    train = {id(word) for word in rest}
    own = [str(word) for word in words if id(word) not in train]
    return own, [str(word) for word in rest]


def run(options: argparse.Namespace) -> int:
    from savanna.experiments import get_experiment, is_own
    from savanna.jobs.staging import files_of, staged

    if options.retries is not None and not options.wait:
        raise UsageError("--retries needs --wait: it is this command that resubmits.")
    if (options.retries or 0) < 0:
        raise UsageError(f"--retries {options.retries}: must be at least 0.")
    check(request_from(options))
    names, (_, train) = [options.env], _split(options.command_line[2:])
    if is_own(options.experiment):
        own = get_experiment(options.experiment)
        names += [own.source, own.env]
        # A path may lead elsewhere on the head.
        train = [own.source if word == options.experiment else word for word in train]
    files = files_of(names, options.py_modules, Path.cwd())
    name = experiment_of(options)

    from savanna.jobs.follow import wait

    jobs = open_jobs(options)
    left, cluster = options.retries or 0, same_cluster(options)
    before: State | None = None
    while True:
        with staged(files) as folder:
            job = jobs.submit(name, train, folder, say=say)
        if not options.json:
            show(job)
        if not options.wait:
            if options.json:
                known = {"cluster": jobs.client.cluster.name, "address": jobs.address}
                show(json.dumps({"job": job, **known}))
            say(
                f"submitted to {jobs.client.cluster.name}\n"
                f"  status       savanna status {job}{cluster}\n"
                f"  follow       savanna logs -f {job}{cluster}\n"
                f"  stop         savanna stop {job}{cluster}\n"
                f"  fetch        savanna fetch {job}{cluster}"
            )
            return 0
        try:
            ended = wait(jobs, job, say)
        except KeyboardInterrupt:
            return leave(job, cluster)
        if left == 0 or not may_help(ended.state, before):
            show_end(ended, cluster, as_json=options.json)
            return exit_code(ended)
        left, before = left - 1, ended.state
        say(f"{job} failed: {ended.state.cause}")
        train = retry_arguments(train, ended.state)
        say(f"Submitting again {where(train, ended.state)}; retries left: {left}.")


def may_help(state: State, before: State | None) -> bool:
    """Whether to submit a job again: it failed, and not for good, nor twice in the same way before
    its first iteration."""
    from savanna.session.retries import kind_of

    if state.name != "failed" or state.refused or state.for_good:
        return False
    if before is None or state.lost or state.run is not None:
        return True
    return kind_of(state.cause or "") != kind_of(before.cause or "")


def retry_arguments(train: list[str], state: State) -> list[str]:
    """Arguments of `savanna train` that continue the job's run or runs instead of any earlier.

    They wait for as many worker nodes as the job had: lost nodes come back one by one.
    """
    if state.workers and not any(w.partition("=")[0] == "--workers" for w in train):
        train = [*train, "--workers", str(state.workers)]
    if state.group is not None:
        return [*_without("--resume-group", train), "--resume-group", state.group]
    if state.run is None or not state.resumable:
        return train
    return [*_without("--resume", train), "--resume", state.run]


def _without(option: str, train: list[str]) -> list[str]:
    """The words without an option and its value."""
    kept, words = [], list(train)
    while words:
        word = words.pop(0)
        if word == option:
            words.pop(0)
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept


def where(train: list[str], state: State) -> str:
    """Where `savanna train` with these arguments begins, after a job that ended in `state`."""
    if group := _value("--resume-group", train):
        return f"the runs of the group {group} that did not succeed"
    if run := _value("--resume", train):
        return f"from {'the last checkpoint of ' if run == state.run else ''}{run}"
    return "from the start"


def _value(option: str, words: list[str]) -> str | None:
    """The last value that the words give to an option."""
    found = None
    for word, after in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else after
    return found


def experiment_of(options: argparse.Namespace) -> str:
    """The experiment's name for the job's id; a resumed run's reference starts with it."""
    from savanna.experiments import get_experiment, is_own

    match = re.fullmatch(r"([\w-]+)/[\w.@-]+", options.resume or "")
    if is_own(options.experiment):
        return get_experiment(options.experiment).name
    return options.experiment or (match[1] if match else None) or "pong"


def check(request: TrainRequest) -> None:
    """`UsageError` for all problems that can be found here; the resumed run is on the head."""
    from savanna.experiments import Machine, get_experiment
    from savanna.jobs.staging import files_of, module_of
    from savanna.planning.checks import check_early
    from savanna.planning.plan import make_plan
    from savanna.session.log_file import quiet

    if request.resume:  # only the head knows its world, and so the old service's scale
        stop = {rule: limit for rule, limit in request.stop.items() if rule != OLD_RETURN}
        request = replace(request, stop=stop)
    experiment = get_experiment(request.experiment, request.algorithm)
    if module_of(request.env) and not files_of([request.env], [], Path.cwd()):
        # Its module is only in the cluster's image: check the rest.
        request = replace(request, env=experiment.env or "CartPole-v1")
    check_early(request)
    if (request.overrides or request.search) and not request.resume:
        runners = request.num_env_runners or 1
        plain = replace(request, env=request.env or experiment.env)
        machine = Machine(cpus=runners + 1, gpus=max(1, request.num_gpus or 0))
        with quiet(Path(os.devnull)):  # RLlib's warnings
            make_plan(plain, machine)
