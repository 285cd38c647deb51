"""`savanna runs` and similar commands with files that a full disk or a killed copy left."""

import json
import shutil

import pytest
from sample_run import make_run

from savanna.cli import main

BROKEN = {
    "config.json": ["", '{"experiment": "gym", "algo', "[]", "null"],
    "status.json": ["", "{", "7", '{"state": "running", "host": "HERE"}'],
    "metrics.csv": ["iteration,agent_steps\x00\xff\n1,2\n"],
    "evaluations.json": ["", "{}", "[{}]"],
}


@pytest.fixture
def root(tmp_path):
    """A good run, and an older one for tests to break."""
    run = make_run(tmp_path)
    shutil.copytree(run.path, tmp_path / "pong" / "20250101T000000Z-s0")
    return tmp_path


def spoil(root, file, content):
    import socket

    text = content.replace("HERE", socket.gethostname())
    (root / "pong" / "20250101T000000Z-s0" / file).write_bytes(text.encode("latin-1"))


@pytest.mark.parametrize(("file", "content"), [(f, c) for f, all_ in BROKEN.items() for c in all_])
def test_one_broken_file_hides_no_other_run(file, content, root, capsys):
    spoil(root, file, content)
    assert main(["runs", "--runs-root", str(root)]) == 0
    out = capsys.readouterr().out
    good, bad = out.splitlines()[1:3]
    assert good.split()[:2] == ["pong/20260301T080000Z-s3", "succeeded"]
    assert bad.split()[:2] == ["pong/20250101T000000Z-s0", "broken"]
    folder = root / "pong" / "20250101T000000Z-s0"
    assert str(folder / file) in out or f"a file in {folder} is damaged" in out
    assert main(["runs", "--runs-root", str(root), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["return"] is not None
    assert second["state"] == "broken" and second["reason"] and second["return"] is None


@pytest.mark.parametrize("command", ["report", "evaluate", "video", "export"])
@pytest.mark.parametrize("content", ["", '{"experiment": "gym", "algo', "[]"])
def test_a_command_names_the_broken_file(command, content, root, capsys):
    spoil(root, "config.json", content)
    folder = root / "pong" / "20250101T000000Z-s0"
    assert main([command, str(folder)]) in (1, 2)
    [line] = capsys.readouterr().err.splitlines()
    assert str(folder / "config.json") in line and "--debug" not in line


def test_an_empty_file_is_called_empty(root, capsys):
    spoil(root, "config.json", "")
    assert main(["report", str(root / "pong" / "20250101T000000Z-s0")]) == 1
    assert "config.json is empty" in capsys.readouterr().err
