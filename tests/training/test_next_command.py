"""What is printed can be pasted, from where it is printed."""

import os
import shlex
import sys
from pathlib import Path

import pytest
from command import run, savanna

from savanna.cli import main
from savanna.next_command import next_command, program
from savanna.runs.directory import RunDirectory

QUICK = ("--evaluate-episodes", "0", "--no-video")


def test_the_program_is_what_the_shell_finds(tmp_path, monkeypatch):
    python, script = tmp_path / "my env" / "python", tmp_path / "my env" / "savanna"
    script.parent.mkdir()
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PATH", str(tmp_path / "other"))
    assert program() == f"'{python}' -m savanna", "it runs from a checkout"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert program() == f"'{script}'", "not on the PATH"
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "savanna"
    other = tmp_path / "other" / "savanna"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{other.parent}{os.pathsep}{script.parent}")
    assert program() == f"'{script}'", "the PATH has another one first"


@pytest.mark.parametrize("root", ["runs", "r 4", "../r4", "/tmp/$r"])
def test_a_run_is_named_with_its_folder(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = RunDirectory((Path(root) / "cartpole" / "x").resolve())
    words = shlex.split(next_command("evaluate", run=run, root=Path(root)))
    words = words[words.index("evaluate") :]
    more = [] if root == "runs" else ["--runs-root", root]
    assert words == ["evaluate", "cartpole/x", *more]
    elsewhere = next_command("evaluate", run=run, root=Path("nowhere"))
    assert shlex.split(elsewhere)[-1] == str(run.path) and "--runs-root" not in elsewhere


@pytest.mark.parametrize("words", [("--no-report",), ()])
def test_the_next_steps_can_be_pasted(words, copied):
    (copied / "runs").rename(copied / "r 4")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    result = savanna(
        "train", "--resume", "latest", "--stop", "iterations=4", "--runs-root", "r 4", *QUICK,
        *words, cwd=copied, PATH=path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    [line] = [text for text in result.stderr.splitlines() if text.startswith("  evaluate")]
    typed = shlex.split(line)[1:]
    assert typed[0] == "savanna"
    again = savanna(*typed[1:], "--episodes", "2", cwd=copied)
    assert again.returncode == 0, again.stderr
    assert ("report.html" in result.stderr) == (not words), "a page of before is not this one"


def test_an_unknown_run_names_the_real_folder(copied, capsys, monkeypatch):
    monkeypatch.chdir(copied)
    for words in (["train", "--resume", "x/y", "--dry-run"], ["evaluate", "x/y"]):
        assert main([*words, "--runs-root", "my runs"]) == 2
        [line] = capsys.readouterr().err.splitlines()
        assert "no run 'x/y' here or in my runs/." in line
        assert "runs --runs-root 'my runs'`" in line


def test_a_tilde_is_home(tmp_path, monkeypatch, capsys):
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    run = RunDirectory(home / "r" / "cartpole" / "x")
    run.path.mkdir(parents=True)
    run.write_json("config.json", {"experiment": "cartpole"})
    assert main(["runs", "--runs-root=~/r"]) == 0
    assert "cartpole/x" in capsys.readouterr().out
    monkeypatch.setenv("SAVANNA_RUNS_ROOT", "~/r")
    assert main(["runs"]) == 0
    assert "cartpole/x" in capsys.readouterr().out
    assert main(["runs", "--runs-root=~nobody-of-this-name/r"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(work.iterdir())


def test_no_folder_is_called_tilde(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    token = str(Path.home() / ".ray" / "auth_token")  # of the Ray that tests share
    result = savanna(
        "train", "cartpole", "--runs-root=~/r", "--storage=~/s", *QUICK, "--no-report",
        "--stop", "iterations=1", cwd=tmp_path, HOME=str(home), RAY_AUTH_TOKEN_PATH=token,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert {path.name for path in home.iterdir()} >= {"r", "s"}
    [copy] = home.glob("s/cartpole/*/config.json")
    assert copy.is_file()


def test_the_script_of_this_environment_is_what_is_printed():
    done = run(
        [sys.executable, "-c", "from savanna.next_command import program; print(program())"],
        env=os.environ | {"PATH": "/nowhere", "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    typed = shlex.split(done.stdout.strip())
    assert run([*typed, "--version"], env=os.environ, check=True).stdout.startswith("savanna ")
