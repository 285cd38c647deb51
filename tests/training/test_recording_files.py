"""metrics.csv and TensorBoard events, from the start and after a resume."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from sample_run import CONFIG, result

from savanna.errors import SavannaError
from savanna.metrics import COLUMNS, IterationResult
from savanna.recording import Console, MetricsCsv, Recorder, TensorBoardEvents, default_recorders
from savanna.runs.directory import RunDirectory


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.claim(tmp_path / "pong", "one")


def write(recorder: Recorder, run: RunDirectory, numbers: range, resumed: bool = False) -> None:
    recorder.start(run, CONFIG, resumed)
    for number in numbers:
        recorder.record(result(number))
    recorder.finish({"state": "succeeded"})


def test_metrics_csv_reads_back_as_it_was_recorded(run: RunDirectory) -> None:
    known = result(1)
    unknown = replace(result(2), episode_return_mean=math.nan, kl=math.nan)
    recorder = MetricsCsv()
    recorder.start(run, CONFIG, False)
    recorder.record(known)
    recorder.record(unknown)
    # Readable before `finish`: every line is flushed.
    rows = run.metrics()
    assert tuple(rows[0]) == COLUMNS
    assert rows[0] == pytest.approx(known.as_row(), nan_ok=True)
    lacking = {k for k, v in known.as_row().items() if math.isnan(v)}  # of particle worlds
    found = {k for k, v in rows[1].items() if math.isnan(v)}
    assert found == lacking | {"episode_return_mean", "kl"}
    assert rows[1]["agent_steps"] == unknown.agent_steps
    recorder.finish({})


def test_metrics_csv_writes_counters_as_whole_numbers_also_after_a_resume(
    run: RunDirectory,
) -> None:
    write(MetricsCsv(), run, range(1, 4))
    before = (run.path / "metrics.csv").read_text().splitlines()
    write(MetricsCsv(), run, range(4, 5), resumed=True)
    after = (run.path / "metrics.csv").read_text().splitlines()
    assert after[:4] == before
    assert after[4].startswith("4,32768,")


def test_metrics_csv_resume_replaces_what_comes_again_and_a_torn_last_line(
    run: RunDirectory,
) -> None:
    write(MetricsCsv(), run, range(1, 8))
    with (run.path / "metrics.csv").open("a") as file:
        file.write("8,65536,16.")
    write(MetricsCsv(), run, range(5, 10), resumed=True)
    assert [row["iteration"] for row in run.metrics()] == list(range(1, 10))
    assert len((run.path / "metrics.csv").read_text().splitlines()) == 10


def test_metrics_csv_resume_drops_a_torn_line_that_does_not_come_again(run: RunDirectory) -> None:
    write(MetricsCsv(), run, range(1, 4))
    with (run.path / "metrics.csv").open("a") as file:
        file.write("4,32768,16.")
    write(MetricsCsv(), run, range(5, 6), resumed=True)
    assert len((run.path / "metrics.csv").read_text().splitlines()) == 1 + 4
    assert [row["iteration"] for row in run.metrics()] == [1, 2, 3, 5]


def test_metrics_csv_drops_what_a_trial_repeats_that_is_tried_again(run: RunDirectory) -> None:
    recorder = MetricsCsv()
    recorder.start(run, CONFIG, False)
    for number in (1, 2, 3, 4, 3, 4, 5):
        recorder.record(result(number))
    assert [row["iteration"] for row in run.metrics()] == [1, 2, 3, 4, 5]
    recorder.finish({})


def test_metrics_csv_that_cannot_be_written_is_one_clear_line(run: RunDirectory) -> None:
    (run.path / "metrics.csv").mkdir()
    recorder = MetricsCsv()
    recorder.start(run, CONFIG, False)
    with pytest.raises(SavannaError, match=r"cannot write .*metrics\.csv: Is a directory"):
        recorder.record(result(1))


def events(run: RunDirectory, tag: str) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(run.path / "tensorboard"), size_guidance={"scalars": 0})
    accumulator.Reload()
    return [(event.step, event.value) for event in accumulator.Scalars(tag)]


def test_tensorboard_steps_are_agent_steps_and_nan_is_left_out(run: RunDirectory) -> None:
    recorder = TensorBoardEvents()
    recorder.start(run, CONFIG, False)
    recorder.record(replace(result(1), episode_return_mean=math.nan))
    recorder.record(result(2))
    recorder.finish({})
    second: IterationResult = result(2)
    (point,) = events(run, "return/episode_return_mean")
    assert point == (second.agent_steps, pytest.approx(second.episode_return_mean, rel=1e-5))
    assert [step for step, _ in events(run, "learner/entropy")] == [8192, 16384]


def test_tensorboard_resume_hides_what_comes_again(run: RunDirectory) -> None:
    write(TensorBoardEvents(), run, range(1, 8))
    write(TensorBoardEvents(), run, range(5, 10), resumed=True)
    steps = [step for step, _ in events(run, "throughput/sampled_per_second")]
    assert steps == [number * 8192 for number in range(1, 10)]


def test_default_recorders_show_on_stderr_and_keep_everything(
    capsys: pytest.CaptureFixture[str],
) -> None:
    recorders = default_recorders(CONFIG, stop=CONFIG["stop"])
    names = [type(recorder).__name__ for recorder in recorders]
    assert names == ["Console", "MetricsCsv", "TensorBoardEvents", "MlflowTracking"]
    console = recorders[0]
    assert isinstance(console, Console)
    console.message("hello")
    console.record(result(30))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("hello\n") and "246k steps" in captured.err


def test_runs_that_share_a_terminal_say_which_they_are(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = CONFIG | {"options": {"runs": 2}}
    console = default_recorders(plan, stop=CONFIG["stop"])[0]
    console.start(run, plan, False)
    console.record(result(30))
    assert capsys.readouterr().err.startswith(f"{run.id}  ")
