"""What a `savanna train` command would do, without Ray."""

from pathlib import Path

from savanna.cli.main import make_parser
from savanna.cli.train import _request
from savanna.cli.train_options import arguments, request_from
from savanna.experiments import Machine
from savanna.planning.checks import check_early
from savanna.planning.plan import Plan, make_plan
from savanna.planning.request import TrainRequest
from savanna.planning.resumed_settings import with_saved_settings
from savanna.runs.directory import RunDirectory
from savanna.runs.resumption import Resumption


def request_of_words(*words) -> TrainRequest:
    """The request that `savanna train WORDS` makes."""
    options = make_parser().parse_args(["train", *arguments([*map(str, words)])])
    options.command_line, options.debug = [], False
    return _request(options)


def plan_of(*words, resumed: RunDirectory | None = None, checkpoint: Path | None = None) -> Plan:
    """The plan of `savanna train WORDS`; with `resumed` it continues that run, with `checkpoint` it
    is a new one that starts with those networks."""
    given = ["train", *arguments([*map(str, words)])]
    options = make_parser().parse_args(given)
    options.command_line, options.debug = ["savanna", *given], False
    resumption = None if resumed is None else Resumption(resumed.path, resumed)
    if checkpoint is not None:
        resumption = Resumption(checkpoint)
        options.resume = str(checkpoint)
    request = with_saved_settings(request_from(options), resumption)
    check_early(request)
    return make_plan(request, Machine(cpus=2, gpus=0))


def saved(folder, *words) -> RunDirectory:
    """The run directory that `savanna train WORDS` would have started, in `folder`."""
    run = RunDirectory(folder)
    run.write_json("config.json", plan_of(*words).content)
    return run
