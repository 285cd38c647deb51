"""Files are replaced whole or not at all, and nothing of a try is left."""

import errno
import fcntl
import os
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from disks import full, read_only, small_disk

from savanna.cli import main
from savanna.errors import SavannaError
from savanna.files import make_writable, replace_json, replace_text, replacing, temporary_folder
from savanna.runs.directory import RunDirectory
from savanna.session.log_file import log_file


@contextmanager
def umask(value: int):
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_a_failure_changes_nothing_and_leaves_nothing(tmp_path):
    file = tmp_path / "file"
    replace_text(file, "old")
    with pytest.raises(RuntimeError), replacing(file) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_a_reader_never_sees_half(tmp_path):
    file = tmp_path / "file"
    replace_text(file, "old")
    with replacing(file) as temporary:
        temporary.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new" and list(tmp_path.iterdir()) == [file]


def test_umask_mode_and_links_stay(tmp_path):
    file, link = tmp_path / "file", tmp_path / "link"
    with umask(0o077):
        replace_json(file, {})
    assert mode(file) == 0o600
    file.chmod(0o664)
    link.symlink_to(file)
    replace_json(link, [1])
    assert mode(file) == 0o664 and link.is_symlink() and file.read_text() == "[\n  1\n]\n"


def test_what_a_killed_process_left_goes_the_next_time(tmp_path):
    host = socket.gethostname()
    gone = tmp_path / f".file.{host}-999999999-1.tmp"
    under_way = tmp_path / f".file.{host}-{os.getpid()}-1.tmp"
    elsewhere = tmp_path / ".file.other-host-12-1.tmp"
    long_ago = tmp_path / ".file.other-host-13-1.tmp"
    another = tmp_path / f".file2.{host}-999999999-1.tmp"
    for left in (gone, under_way, elsewhere, long_ago, another):
        left.touch()
    os.utime(long_ago, (0, 0))
    replace_text(tmp_path / "file", "")
    assert {*tmp_path.iterdir()} == {tmp_path / "file", under_way, elsewhere, another}


def test_temporary_folders_of_killed_processes_go_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    abandoned, just_made = tmp_path / "savanna-run-abandoned", tmp_path / "savanna-run-new"
    for folder in (abandoned / "inner", just_made):
        folder.mkdir(parents=True)
    with temporary_folder("tune-") as in_use:
        for folder in (abandoned, in_use):
            os.utime(folder, (0, 0))
        with temporary_folder() as another:
            assert {*tmp_path.iterdir()} == {just_made, in_use, another}
    assert [*tmp_path.iterdir()] == [just_made]


def test_a_full_disk_is_an_error_of_the_file_itself(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        file = disk / "status.json"
        replace_json(file, {"state": "running"})
        with full(disk):
            with pytest.raises(OSError) as caught:
                replace_json(file, ["x" * 10_000])
            assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(file)
            assert file.read_text() == '{\n  "state": "running"\n}\n'
            RunDirectory(disk).write_json("status.json", {"state": "failed"}, insist=True)
        assert RunDirectory(disk).status == {"state": "failed"}
        assert list(disk.iterdir()) == [file]


def test_a_folder_that_takes_nothing_is_found_out(tmp_path):
    make_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
    with read_only(tmp_path), pytest.raises(OSError) as caught:
        make_writable(tmp_path)
    assert caught.value.errno == errno.EROFS


def test_the_log_has_the_mode_of_other_files(tmp_path):
    run = RunDirectory(tmp_path)
    with umask(0o077), log_file(tmp_path, None) as log:
        log.put_into(run)
    assert mode(run.log) == 0o600


def test_logs_of_killed_commands_go_and_no_others(tmp_path, capsys):
    host, killed = socket.gethostname(), 999999999
    gone, gone_too = (tmp_path / f".log-{host}-{killed}-{end}" for end in ("ab", "cd"))
    starting = tmp_path / f".log-{host}-{os.getppid()}-ab"
    elsewhere = tmp_path / f".log-another-{killed}-ab"
    namesake = tmp_path / f".log-{host}-{killed}-ef"
    for file in (gone, starting, elsewhere):
        file.touch()
    with log_file(tmp_path, None) as log:
        assert {*tmp_path.iterdir()} == {starting, elsewhere, log.path}
    with namesake.open("x") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        gone_too.touch()
        assert main(["runs", "--runs-root", str(tmp_path)]) == 0
        assert {*tmp_path.iterdir()} == {starting, elsewhere, namesake}


def test_the_log_that_a_failed_command_names_is_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("savanna.session.log_file.is_gone", lambda pid: True)
    with pytest.raises(SavannaError), log_file(tmp_path, None) as log:
        log.path.write_text("why")
        raise SavannaError("no run")
    named = Path(capsys.readouterr().err.strip().removeprefix("savanna: details in "))
    with log_file(tmp_path, None):  # the next command
        pass
    assert main(["runs", "--runs-root", str(tmp_path)]) == 0
    assert named.read_text() == "why" and [*tmp_path.iterdir()] == [named]
    assert named.name not in capsys.readouterr().out
