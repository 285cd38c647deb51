"""Disks that are full, runs that cannot be written, folders that go away."""

import json
import shutil
from pathlib import Path

import pytest
from command import finish, ours, savanna, savanna_command, started
from disks import full, read_only, small_disk
from sample_run import CONFIG, result
from waiting import wait_until

from savanna.cli import main
from savanna.errors import SavannaError, UsageError
from savanna.ray_cluster.runtime import check_temporary_folder
from savanna.recording import MetricsCsv, TensorBoardEvents
from savanna.runs.checkpoints import is_whole
from savanna.runs.directory import RunDirectory
from savanna.runs.storage import open_storage
from savanna.runs.upload import Upload

LITTLE = ("--no-video", "--no-report", "--evaluate-episodes", "0")
FAST = ("--set", "train_batch_size_per_learner=256", "--set", "minibatch_size=128")


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        yield disk


def test_a_full_disk_ends_training_in_one_line_with_the_last_checkpoint(disk, tmp_path):
    words = ("train", "cartpole", "--runs-root", disk, "--checkpoint-freq", "1", "--keep", "99")
    with full(disk, left=700_000):
        ended = savanna(*words, "--stop", "iterations=50", *LITTLE, *FAST, cwd=tmp_path)
        run = RunDirectory.find("latest", disk)
        assert ended.returncode == 1 and ended.stdout == ""
        last = ended.stderr.splitlines()[-1]
        assert "No space left on device" in last and "train --resume" in last
        assert "Traceback" not in ended.stderr
        assert run.status["state"] == "failed"
        assert "No space left on device" in run.status["cause"]
        kept = run.checkpoints()
        assert kept and is_whole(run.checkpoint_path(kept[-1].number))
        assert not [*run.path.glob(".*")], "nothing half made is left"
    more = ("--stop", f"iterations={kept[-1].iteration + 1}", "--stop", "none", "--keep", "2")
    goes_on = savanna("train", "--resume", run.path, *more, cwd=tmp_path)
    assert goes_on.returncode == 0, goes_on.stderr
    numbers = [row["iteration"] for row in run.metrics()]
    assert numbers == list(range(1, kept[-1].iteration + 2))


def test_metrics_never_have_half_a_line(disk):
    run = RunDirectory.claim(disk / "pong", "one")
    recorder = MetricsCsv()
    recorder.start(run, CONFIG, False)
    recorder.record(result(1))
    with full(disk), pytest.raises(SavannaError, match=r"metrics\.csv: No space left on device"):
        for number in range(2, 1000):
            recorder.record(result(number))
    text = (run.path / "metrics.csv").read_text()
    assert text.endswith("\n")
    recorder.record(result(1000))
    recorder.finish({})
    assert run.metrics()[-1]["iteration"] == 1000


@pytest.mark.timeout(60)
def test_tensorboard_fails_on_a_full_disk_and_waits_for_nothing(disk):
    run = RunDirectory.claim(disk / "pong", "one")
    recorder = TensorBoardEvents()
    recorder.start(run, CONFIG, False)
    with full(disk), pytest.raises(OSError, match="No space left"):
        for number in range(1, 1000):
            recorder.record(result(number))


@pytest.mark.parametrize("words", [["export"], ["video"], ["report"]])
def test_what_a_full_disk_keeps_from_being_written_leaves_the_old_one(words, copied, disk, capsys):
    run = RunDirectory.find("latest", copied / "runs")
    there = disk / "gym" / run.id
    shutil.copytree(run.path, there)
    before = {f: f.read_bytes() for f in there.rglob("*") if f.is_file()}
    with full(disk):
        assert main([*words, str(there)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "No space left on device" in lines[0], lines
    assert {f: f.read_bytes() for f in there.rglob("*") if f.is_file()} == before


@pytest.fixture
def frozen(copied):
    """A run to which nothing can be written."""
    run = RunDirectory.find("latest", copied / "runs")
    with read_only(run.path):
        yield run


def test_an_evaluation_of_a_read_only_run_is_printed(frozen, capsys):
    assert main(["evaluate", str(frozen.path), "--episodes", "2", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)[0]["episodes"] == 2
    warning = printed.err.splitlines()[-1]
    assert "not kept" in warning and "evaluations.json: Read-only file system" in warning


@pytest.mark.parametrize(
    ("words", "way_out"),
    [
        (["export"], "--output"),
        (["video"], "Copy the run's folder"),
        (["report"], "report.html: Read-only file system"),
        (["train", "--resume"], "copy its folder"),
    ],
)
def test_a_read_only_run_is_one_sentence(words, way_out, frozen, capsys):
    assert main([*words, str(frozen.path)]) in (1, 2)
    printed = capsys.readouterr()
    assert printed.out == "" and len(printed.err.splitlines()) == 1
    assert "Read-only file system" in printed.err and way_out in printed.err
    assert "Errno" not in printed.err


def test_a_read_only_run_is_exported_elsewhere(frozen, tmp_path, capsys):
    assert main(["export", str(frozen.path), "--output", str(tmp_path / "agent")]) == 0
    assert Path(capsys.readouterr().out.strip()) == tmp_path / "agent/model.onnx"


def test_a_run_whose_folder_goes_away_ends(tmp_path):
    words = ("train", "cartpole", "--stop", "none", "--checkpoint-freq", "0", *LITTLE, *FAST)
    with started(
        savanna_command(*words), cwd=tmp_path, env=ours(), stderr=-1, stdout=-1
    ) as process:
        found = tmp_path / "runs/cartpole"
        wait_until(lambda: [*found.glob("*/metrics.csv")], "the first iteration")
        run = next(found.iterdir())
        run.rename(tmp_path / "gone")  # at once: deleting it, file by file, new ones come
        shutil.rmtree(tmp_path / "gone", ignore_errors=True)
        out, err = finish(process, 120)
    assert process.returncode == 1 and out == ""
    assert f"the run's folder has gone: {run}" in err.splitlines()[-1]
    assert "Traceback" not in err and not run.exists()


def test_a_copy_in_storage_outlives_the_run_that_was_deleted(tmp_path):
    run, storage = tmp_path / "runs/gym/one", tmp_path / "storage"
    run.mkdir(parents=True)
    storage.mkdir()
    RunDirectory(run).write_json("config.json", {})
    upload = Upload(open_storage(str(storage)), run, "gym/one")
    list(upload.steps())
    shutil.rmtree(run)
    with pytest.raises(FileNotFoundError, match="has gone"):
        list(upload.steps())
    assert (storage / "gym/one/config.json").is_file()


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_temporary_folder_too_long_for_sockets_is_named(name, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    folder = tmp_path / ("x" * 100)
    monkeypatch.setenv(name, str(folder))
    assert main(["train", "cartpole", "--address", "local", "--runs-root", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"savanna: {name}={folder} is") and "too long" in said
    assert not [*tmp_path.iterdir()]


def test_a_temporary_folder_must_take_files(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/proc/none")
    with pytest.raises(UsageError, match=r"/proc/none.*set RAY_TMPDIR"):
        check_temporary_folder()
