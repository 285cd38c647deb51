"""Going back to an earlier checkpoint: what came after it no longer counts, but is not lost."""

import pytest
from command import savanna

from savanna.evaluation.training_films import early_and_middle
from savanna.runs.checkpoints import last_number
from savanna.runs.directory import RunDirectory
from savanna.runs.resumption import rewind
from savanna.runs.storage import connect
from savanna.runs.upload import Upload

QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report")


@pytest.fixture
def run(copied) -> RunDirectory:
    """Checkpoints 0, 1 and 2 of iterations 1, 2 and 3; the last one is the best."""
    run = RunDirectory.find("latest", copied / "runs")
    entries = run.read_json("evaluations.json")
    for entry in entries:
        entry["mean"] = 10.0 * entry["checkpoint"]
    run.write_json("evaluations.json", entries)
    for name in (
        "episode-0000000-iteration-000001",
        "episode-0000200-iteration-000002",
        "episode-0000400-iteration-000003",
        "checkpoint-000000",
        "checkpoint-000002",
        "early-middle-final",
    ):
        for suffix in (".mp4", ".jpg"):
            (run.videos / f"{name}{suffix}").write_bytes(b"film")
    return run


def test_later_checkpoints_and_films_are_set_aside(run, capsys):
    first, *later = run.checkpoints()
    assert run.checkpoint("best").number == 2
    rewind(run, first)
    said = capsys.readouterr().err
    assert "after 0" in said and "discarded" in said
    assert run.checkpoints() == [first]
    assert run.checkpoint("best") == run.checkpoint("last") == first
    assert list(run.evaluated_returns()) == [0]
    assert not any(run.checkpoint_path(c.number).exists() for c in later)
    aside = run.path / "discarded"
    assert {p.name for p in aside.glob("checkpoint_*")} == {
        "checkpoint_000001",
        "checkpoint_000002",
    }
    assert all((p / "rllib_checkpoint.json").is_file() for p in aside.glob("checkpoint_*"))
    kept = {"episode-0000000-iteration-000001", "checkpoint-000000"}
    assert {p.stem for p in run.videos.glob("*.mp4")} == kept
    assert {p.stem for p in run.videos.glob("*.jpg")} == kept
    assert len(list((aside / "videos").glob("*.mp4"))) == 4
    assert last_number(run.path) == 2, "numbers of the other branch are not used again"


def test_going_on_from_the_last_checkpoint_moves_nothing(run, capsys):
    before = sorted(p.name for p in run.path.rglob("*"))
    rewind(run, run.checkpoint("last"))
    assert capsys.readouterr().err == ""
    assert sorted(p.name for p in run.path.rglob("*")) == before


def test_going_back_twice(run):
    first, second, _ = run.checkpoints()
    rewind(run, second)
    rewind(run, first)
    assert run.checkpoints() == [first] and last_number(run.path) == 2
    assert len(list(run.path.glob("discarded/checkpoint_*"))) == 2


def test_the_storage_gets_nothing_of_it(run, tmp_path):
    rewind(run, run.checkpoints()[0])

    storage = connect(str(tmp_path))
    for _ in Upload(storage, run.path, "x").steps():
        pass
    there = {p.name for p in (tmp_path / "x").iterdir()}
    assert {"metrics.csv", "checkpoint_000000"} <= there
    assert "discarded" not in there and "checkpoint_000001" not in there


def test_a_resumed_run_has_one_branch(run, copied):
    result = savanna("train", "--resume", "latest@0", "--stop", "iterations=2", *QUICK, cwd=copied)
    assert result.returncode == 0, result.stderr
    assert "Checkpoints after 0" in result.stderr
    assert [row["iteration"] for row in run.metrics()] == [1, 2]
    assert [(c.number, c.iteration) for c in run.checkpoints()] == [(0, 1), (3, 2)]
    assert run.checkpoint("best").number in (0, 3)


def test_early_and_middle_go_by_iterations(tmp_path):
    """Episodes per world decrease if a run continues with more env runners."""
    films = [
        tmp_path / f"episode-{name}.mp4"
        for name in (
            "0000400-iteration-000010",
            "0000150-iteration-000020",
            "0000300-iteration-000030",
            "0000500-iteration-000040",
        )
    ]
    for film in films:
        film.touch()
    assert early_and_middle(tmp_path, 40) == films[:2]
    assert early_and_middle(tmp_path, 11) == films[:1]
    assert early_and_middle(tmp_path, 10) == []
