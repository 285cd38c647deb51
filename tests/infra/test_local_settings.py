"""Sizes, names and files of a local cluster: pure functions, no Docker."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.facts import facts
from infra.local import context
from infra.local.settings import (
    GIB,
    LocalUsageError,
    Node,
    Settings,
    check_name,
    choose_sizes,
    parse_memory,
)


@given(workers=st.integers(0, 12), cpus=st.integers(1, 128), memory=st.integers(2 * GIB, 900 * GIB))
def test_chosen_sizes_fit_the_machine_or_are_refused_with_a_way_out(workers, cpus, memory):
    try:
        head, worker = choose_sizes(workers, cpus, memory)
    except LocalUsageError as error:
        assert "fewer workers" in str(error)
        return
    assert head.memory + workers * worker.memory <= memory
    assert head.cpus >= 2 and worker.cpus >= 1
    assert head.cpus + workers * worker.cpus <= max(cpus, 2 + workers)
    for node in (head, worker):
        assert node.shm > node.memory * int(facts()["OBJECT_STORE_PERCENT"]) // 100


def test_given_sizes_are_kept():
    head, worker = choose_sizes(2, 8, 64 * GIB, 4, 3, 10 * GIB, 5 * GIB)
    assert (head, worker) == (Node(4, 10 * GIB), Node(3, 5 * GIB))


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(LocalUsageError) as error:
        choose_sizes(2, 8, 64 * GIB, 0, 0, GIB, GIB)
    text = str(error.value)
    assert "head CPUs 0" in text and "worker CPUs 0" in text
    assert "head memory 1.0 GiB" in text and "--worker-memory" in text


def test_more_memory_than_there_is_is_refused():
    with pytest.raises(LocalUsageError, match=r"20\.0 GiB, but this machine has 16\.0 GiB"):
        choose_sizes(2, 8, 16 * GIB, None, None, 10 * GIB, 5 * GIB)
    with pytest.raises(LocalUsageError, match="at least 0"):
        choose_sizes(-1, 8, 16 * GIB)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("512m", 2**29), ("4g", 4 * GIB), ("1.5GiB", 3 * GIB // 2), ("2GB", 2 * GIB)],
)
def test_memory_is_read_as_people_write_it(text, expected):
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "4", "4t", "-1g", "g", "4 g b"])
def test_other_memory_is_refused(text):
    with pytest.raises(LocalUsageError, match="512m or 4g"):
        parse_memory(text)


@pytest.mark.parametrize("name", ["", "A", "savanna_x", "-x", "a" * 60, "x; rm"])
def test_names_that_docker_or_a_shell_would_trip_over_are_refused(name):
    with pytest.raises(LocalUsageError, match="lower-case"):
        check_name(name)


def test_settings_survive_their_label_and_name_their_differences():
    sizes = {"head": Node(2, GIB), "worker": Node(1, GIB)}
    base = {"name": "a", "image": "i", "image_id": "1", "port": 1, **sizes}
    first = Settings(**base)
    assert Settings.from_label(first.to_label()) == first
    assert first.differences(first) == []
    for change in (
        {"image_id": "2"},
        {"head": Node(3, GIB)},
        {"worker": Node(1, 2 * GIB)},
        {"port": 2},
        {"environment": (("A", "b"),)},
    ):
        other = Settings(**base | change)
        assert Settings.from_label(other.to_label()) == other
        (difference,) = first.differences(other)
        assert difference.startswith(next(iter(change)))


def test_two_clusters_share_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, port in (("one", 1), ("two", 2)):
        context.keep_token(name)
        context.keep_context(name, port)
    current = tmp_path / ".savanna/cluster.json"
    assert json.loads(current.read_text())["name"] == "two"
    context.forget("two")
    assert json.loads(current.read_text())["name"] == "one"


@pytest.mark.parametrize(
    ("here", "kept_at", "rows"),
    [(None, "run", "a\nb\n"), ("a\n", "run", "a\nb\n"), ("a\nc\n", "run-cluster", "a\nc\n")],
)
def test_results_never_replace_what_went_on_here(tmp_path, here, kept_at, rows):
    from infra.local.results import _keep

    run = tmp_path / "fetched/pong/run"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text("a\nb\n")
    target = tmp_path / "runs"
    if here is not None:
        (target / "pong/run").mkdir(parents=True)
        (target / "pong/run/metrics.csv").write_text(here)
        (target / "pong/run/model.onnx").write_text("exported here")
    assert _keep(run, target) == target / "pong" / kept_at
    assert (target / "pong/run/metrics.csv").read_text() == rows
    assert here is None or (target / "pong/run/model.onnx").exists()


def test_the_token_is_new_every_time_and_private(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = context.keep_token("one")
    assert context.read_token("one") == first and len(first) == 64
    assert context.keep_token("one") != first
    file = context.token_file("one")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o077 == 0
    content = json.loads(context.keep_context("one", 8265).read_text())
    assert content == {
        "name": "one",
        "address": "http://127.0.0.1:8265",
        "token_file": str(file),
        "results": facts()["RESULTS_PATH"],
    }
    context.forget("two")
    assert file.exists()
    context.forget("one")
    assert not list((tmp_path / ".savanna").iterdir())
