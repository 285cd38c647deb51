"""A run directory as the text of a log, and back."""

import io
import tarfile

import pytest

from savanna.errors import SavannaError, UsageError
from savanna.jobs.pack import DATA, LINE_BYTES, main, pack, unpack


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoint_000000").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / ".status.json.tmp").write_text("half")
    data = bytes((i * i * 31 + i // 7) % 256 for i in range(LINE_BYTES))
    (folder / "checkpoint_000000" / "state.pkl").write_bytes(data * 2)
    return folder


def packed(folder):
    out = io.StringIO()
    pack(folder, out)
    return out.getvalue()


def test_there_and_back_among_other_lines(run, tmp_path):
    unpack(f"Running entrypoint ...\n{packed(run)}bye\n", tmp_path / "new")
    found = {str(p.relative_to(tmp_path / "new")) for p in (tmp_path / "new").rglob("*.*")}
    assert found == {"config.json", "checkpoint_000000/state.pkl"}
    name = "checkpoint_000000/state.pkl"
    assert (tmp_path / "new" / name).read_bytes() == (run / name).read_bytes()


def damaged(log):
    at = log.index(DATA) + len(DATA) + 40
    return log[:at] + ("A" if log[at] != "A" else "B") + log[at + 1 :]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (damaged, "its SHA-256 sum is another"),
        (lambda log: log.rpartition("::sha256")[0], "did not arrive whole"),
        (lambda log: log.replace(DATA, DATA + "!", 1), "damaged"),
        (lambda log: "", "did not arrive whole"),
    ],
)
def test_what_arrives_damaged_is_refused(run, tmp_path, change, says):
    with pytest.raises(SavannaError, match=says):
        unpack(change(packed(run)), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_is_no_run_is_not_packed(tmp_path, capsys):
    with pytest.raises(UsageError, match="no run directory"):
        pack(tmp_path, io.StringIO())
    assert main([str(tmp_path)]) == 1
    with pytest.raises(SavannaError, match="no run directory"):
        unpack(capsys.readouterr().out, tmp_path / "new")


def test_an_archive_cannot_write_elsewhere(run, tmp_path, monkeypatch):
    plain = tarfile.TarInfo
    monkeypatch.setattr(tarfile, "TarInfo", lambda name: plain(f"../../{name}"))
    log = packed(run)
    monkeypatch.undo()
    with pytest.raises(SavannaError, match="cannot unpack"):
        unpack(log, tmp_path / "deep" / "new")
    assert not (tmp_path / "config.json").exists()
