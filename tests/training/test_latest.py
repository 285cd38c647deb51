"""`latest` on file systems with links and without: SMB shares, FAT."""

import errno
import os

import pytest

from savanna.errors import UsageError
from savanna.runs.directory import RunDirectory


def make(root, name) -> RunDirectory:
    run = RunDirectory((root / "cartpole" / name).resolve())
    run.path.mkdir(parents=True)
    run.write_json("config.json", {"experiment": "cartpole"})
    return run


@pytest.mark.parametrize("code", [None, errno.EPERM, errno.EOPNOTSUPP, errno.EACCES])
def test_the_newest_run_is_found_by_name_and_by_path(code, tmp_path, monkeypatch):
    def refuse(source, target, *more, **named):
        raise OSError(code, os.strerror(code), target)

    if code is not None:
        monkeypatch.setattr(os, "symlink", refuse)
    root = tmp_path / "runs"
    first, second = make(root, "a"), make(root, "b")
    for run in (first, second):
        run.mark_latest(root)
        assert RunDirectory.find("latest", root) == run
        assert RunDirectory.find(str(root / "latest"), tmp_path / "elsewhere") == run
    assert {path.name for path in root.iterdir()} == {"cartpole", "latest"}
    moved = root.rename(tmp_path / "moved")
    assert RunDirectory.find("latest", moved).id == "b", "the way there is relative"


def test_links_and_files_take_over_from_each_other(tmp_path, monkeypatch):
    first, second = make(tmp_path, "a"), make(tmp_path, "b")
    first.mark_latest(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "symlink", lambda *_, **__: (_ for _ in ()).throw(OSError(1, "no")))
        second.mark_latest(tmp_path)
    assert (tmp_path / "latest").is_file() and RunDirectory.find("latest", tmp_path) == second
    first.mark_latest(tmp_path)
    assert (tmp_path / "latest").is_symlink() and RunDirectory.find("latest", tmp_path) == first


@pytest.mark.parametrize("content", ["", "gone/away", "\x00"])
def test_a_latest_that_leads_nowhere_is_no_run(content, tmp_path):
    make(tmp_path, "a")
    (tmp_path / "latest").write_text(content)
    with pytest.raises(UsageError, match="no run 'latest'"):
        RunDirectory.find("latest", tmp_path)
