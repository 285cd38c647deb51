"""What reading a run imports: it works where nothing can train, and quickly."""

import sys

import pytest
from command import ours, run
from sample_run import make_run

HEAVY = ("PIL", "gymnasium", "imageio_ffmpeg", "ray", "torch")

RESULT = """
from savanna.metrics import IterationResult
result = {"training_iteration": 1, "time_total_s": 1.0, "config": {"env": "PongNoFrameskip-v4"}}
tally = {"episodes": 1, "sampled": 1, "trained": 1, "return_mean": -20.0}
IterationResult.from_rllib(result | {"time_this_iter_s": 1.0, "tally": tally})
"""
READING = """
from pathlib import Path
from savanna.runs.directory import RunDirectory
run = RunDirectory(Path(sys.argv[1]))
assert run.metrics() and run.checkpoint().number >= 0
"""
REPORT = """
from pathlib import Path
from savanna.report import write_report
from savanna.runs.directory import RunDirectory
write_report(RunDirectory(Path(sys.argv[1])))
"""
FAMILIES = """
from savanna.envs.families import FAMILIES, family_of
names = "PongNoFrameskip-v4", "simple_spread", "basic", "CartPole-v1"
assert {family_of(name) for name in names} == set(FAMILIES)
assert family_of("simple_spread")("simple_spread", {}).old_scale
"""
PYTHON = """
import savanna
assert savanna.train and savanna.load and savanna.errors.UsageError
assert [run.state for run in savanna.list_runs(sys.argv[1] + "/../..")]
try:
    savanna.train("cartpole", kep=3)
except savanna.errors.UsageError:
    pass
"""
HELP = """
from savanna.cli.main import make_parser
make_parser()
"""


@pytest.mark.parametrize("program", [RESULT, READING, REPORT, FAMILIES, PYTHON, HELP])
def test_what_only_reads_imports_nothing_that_trains_plays_or_draws(program, tmp_path):
    shown = f"import sys\n{program}\nprint([name for name in {HEAVY} if name in sys.modules])"
    path = make_run(tmp_path).path
    done = run([sys.executable, "-c", shown, path], env=ours(), check=True)
    assert done.stdout.strip() == "[]"
