"""Results in remote storage, against the emulator of Azure storage."""

import json
import shutil
import socket
import sys
from contextlib import nullcontext

import pyarrow.fs
import pytest
from azurite import ACCOUNT, KEY
from command import ours, run, savanna
from one_packet import in_one_packet
from waiting import gone, wait_until

from savanna.cli import main
from savanna.errors import UsageError
from savanna.runs.checkpoints import CheckpointInfo, describe
from savanna.runs.copier import Copier
from savanna.runs.directory import RunDirectory
from savanna.runs.storage import check_storage, chosen_storage, connect, open_storage
from savanna.runs.stored import download_run, find_run

QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report")
NOWHERE = f"abfss://box@{ACCOUNT}.dfs.core.windows.net/results"


@pytest.fixture
def azure(azurite, monkeypatch):
    """The emulator, for code in this process too."""
    for name, value in azurite.environment.items():
        monkeypatch.setenv(name, value)
    return azurite


def contents(azurite, path: str) -> dict[str, bytes]:
    """Every blob below `path`, by its path from there."""
    files = azurite.filesystem.get_file_info(pyarrow.fs.FileSelector(path, True, recursive=True))
    found = {}
    for file in files:
        if file.type == pyarrow.fs.FileType.File:
            with azurite.filesystem.open_input_stream(file.path) as stream:
                found[file.path.removeprefix(f"{path}/")] = stream.read()
    return found


def write(azurite, path: str, content: bytes) -> None:
    with azurite.filesystem.open_output_stream(path) as stream:
        stream.write(content)


@pytest.fixture(scope="module")
def stored(azurite, tmp_path_factory):
    """Folder of a run of three iterations trained into the emulator, and its location there."""
    folder, location = tmp_path_factory.mktemp("stored"), azurite.uri("trained", "team/results")
    result = savanna(
        "train",
        "cartpole",
        "--stop",
        "iterations=3",
        "--checkpoint-freq",
        "1",
        *QUICK,
        "--storage",
        location,
        cwd=folder,
        **azurite.environment,
    )
    assert result.returncode == 0, result.stderr
    return folder, location


def has_key(content: bytes) -> bool:
    """Whether the account key occurs, plain or in hex, as Ray Tune writes pickles."""
    return KEY.encode() in content or KEY.encode().hex().encode() in content.lower()


def test_a_run_lands_in_azure_and_goes_on_from_there_alone(stored, azurite, tmp_path):
    folder, location = stored
    run = RunDirectory.find("latest", folder / "runs")
    there = contents(azurite, f"trained/team/results/cartpole/{run.id}")
    assert json.loads(there["status.json"])["state"] == "succeeded"
    assert there["metrics.csv"] == (run.path / "metrics.csv").read_bytes()
    assert {"config.json", "metadata.json", "train.log"} <= set(there)
    assert any(name.startswith("tensorboard/events.out.tfevents") for name in there)
    for number in range(3):
        state = f"checkpoint_{number:06d}/learner_group/learner/state.pkl"
        assert there[state] == (run.path / state).read_bytes()
    for file in [p for p in folder.rglob("*") if p.is_file()]:
        assert not has_key(file.read_bytes()), f"the key is in {file}"
    everything = contents(azurite, "trained")
    assert not [name for name, content in everything.items() if has_key(content)]
    assert not [name for name in everything if "experiment_state" in name or "tuner" in name]
    assert json.loads(there["config.json"])["options"]["storage"] == location

    # Another machine has only the storage, whose location comes from the environment.
    result = savanna(
        "train",
        "--resume",
        "latest",
        "--stop",
        "iterations=5",
        *QUICK,
        cwd=tmp_path,
        SAVANNA_STORAGE=location,
        **azurite.environment,
    )
    assert result.returncode == 0, result.stderr
    resumed = RunDirectory.find("latest", tmp_path / "runs")
    assert resumed.id == run.id
    before, after = run.metrics(), resumed.metrics()
    assert [row["iteration"] for row in after] == [1, 2, 3, 4, 5]
    assert repr(after[:3]) == repr(before)
    for name in ("agent_steps", "seconds", "episodes_total"):
        assert after[3][name] > before[-1][name]
    assert [c.number for c in resumed.checkpoints()] == [0, 1, 2, 3, 4]
    there = contents(azurite, f"trained/team/results/cartpole/{run.id}")
    assert there["metrics.csv"] == (resumed.path / "metrics.csv").read_bytes()
    assert "checkpoint_000004/rllib_checkpoint.json" in there
    assert resumed.status["started"] == run.status["started"]


@pytest.fixture
def copy_of(stored, azure):
    """Puts a fresh copy of the trained run into a container of that name; its storage."""
    run = RunDirectory.find("latest", stored[0] / "runs")

    def put(container: str, name: str = "cartpole/one"):
        storage = connect(azure.uri(container, "results"))
        pyarrow.fs.copy_files(
            str(run.path),
            f"{storage.path}/{name}",
            source_filesystem=pyarrow.fs.LocalFileSystem(),
            destination_filesystem=azure.filesystem,
        )
        return storage

    return put


def test_runs_are_found_by_id_and_latest_is_the_one_started_last(copy_of, azure, tmp_path):
    copy_of("found", "cartpole/20260101T000000Z-s0")
    storage = copy_of("found", "pong/20250101T000000Z-s0")
    status = {"state": "running", "started": "2999-01-01T00:00:00+00:00"}
    write(azure, "found/results/pong/20250101T000000Z-s0/status.json", json.dumps(status).encode())
    assert find_run(storage, "latest") == "pong/20250101T000000Z-s0"
    assert find_run(storage, "20260101T000000Z-s0") == "cartpole/20260101T000000Z-s0"
    assert find_run(storage, "pong/20250101T000000Z-s0") == "pong/20250101T000000Z-s0"
    for reference in ("pong/20260101T000000Z-s0", "nothing", "../pong", "a/b/c", ""):
        with pytest.raises(UsageError, match="no run"):
            find_run(storage, reference)
    download_run(storage, "latest", tmp_path)
    with pytest.raises(UsageError, match="already exists"):
        download_run(storage, "latest", tmp_path)


def test_half_a_checkpoint_is_left_out_and_said(copy_of, azure, tmp_path, capsys):
    storage = copy_of("half")
    place = "half/results/cartpole/one"
    # The newest lost a file; one after it was never finished, and has no manifest.
    azure.filesystem.delete_file(f"{place}/checkpoint_000002/learner_group/learner/state.pkl")
    write(azure, f"{place}/checkpoint_000003/rllib_checkpoint.json", b"{}")
    # An upload that was killed leaves an empty blob, and the copy made before.
    write(azure, f"{place}/metrics.csv", b"")
    write(azure, f"{place}/.backup/metrics.csv", b"iteration\n1\n")
    run = download_run(storage, "latest", tmp_path)
    said = capsys.readouterr().err.splitlines()
    assert [c.number for c in run.checkpoints()] == [0, 1]
    assert not run.checkpoint_path(2).exists() and not run.checkpoint_path(3).exists()
    assert [line for line in said if "checkpoint 2" in line and "incomplete" in line]
    assert [line for line in said if "checkpoint 3" in line and "incomplete" in line]
    assert "The newest complete checkpoint is 1." in said
    assert (run.path / "metrics.csv").read_text() == "iteration\n1\n"
    assert not (run.path / ".backup").exists()
    assert [p.name for p in (tmp_path / "cartpole").iterdir()] == ["one"]


def test_a_run_is_copied_while_it_grows_and_through_a_failure(azure, tmp_path, monkeypatch):
    location = azure.uri("grows", "results")
    check_storage(location)
    monkeypatch.setattr("savanna.runs.copier.RETRY_SECONDS", 0.2)
    run = RunDirectory(tmp_path / "runs" / "cartpole" / "one")
    run.path.mkdir(parents=True)
    (run.path / "config.json").write_text("{}")
    (run.path / "metrics.csv").write_text("iteration\n1\n")
    (run.path / "checkpoint_000000").mkdir()
    (run.path / "checkpoint_000000" / "file").write_text("x")
    describe(run.path / "checkpoint_000000", CheckpointInfo(0, 1, 10, 1.0, 5.0))
    warnings: list[str] = []
    monkeypatch.setattr("savanna.runs.copier.PUSH_SECONDS", 0.2)
    copier = Copier(location, warnings.append)
    copier.add(run.path)

    def there() -> dict[str, bytes]:
        return contents(azure, "grows/results/cartpole/one")

    # Wait until all of it is there: if a container disappears during an upload, Azure's library
    # first retries many times.
    wait_until(lambda: "checkpoint_000000/checkpoint.json" in there())
    assert there()["metrics.csv"] == b"iteration\n1\n"
    assert "checkpoint_000000/file" in there()
    azure.filesystem.delete_dir("grows")
    (run.path / "metrics.csv").write_text("iteration\n1\n2\n")
    wait_until(lambda: warnings)
    # Azure's library says that the container is gone, or that the connection is.
    assert "training continues" in warnings[0]
    wait_until(lambda: copier._process._process is not None)
    copier._process._process.kill()  # as Azure's library does when it runs out of credentials
    azure.filesystem.create_dir("grows")
    wait_until(lambda: there().get("metrics.csv") == b"iteration\n1\n2\n")
    wait_until(lambda: len(warnings) == 2)
    assert "again" in warnings[1]
    (run.path / "metrics.csv").write_text("iteration\n1\n2\n3\n")
    assert copier.close() is None
    assert there()["metrics.csv"] == there()[".backup/metrics.csv"] == b"iteration\n1\n2\n3\n"


@pytest.mark.parametrize("busy", [False, True])
def test_results_that_did_not_arrive_are_told(busy, azure, tmp_path, monkeypatch):
    run = tmp_path / "cartpole" / "one"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text("iteration\n")
    address = azure.endpoint.removeprefix("http://")
    with in_one_packet(address) if busy else nullcontext(address) as server:
        monkeypatch.setenv("AZURE_STORAGE_BLOB_ENDPOINT", f"http://{server}")
        copier = Copier(NOWHERE.replace("box", "gone"), lambda text: None)
        copier.add(run)
        problem = copier.close(patience=0.0)
        assert "no such container" in problem


def test_the_helper_process_ends_with_its_parent(azure, tmp_path):
    code = (
        "import os, sys\n"
        "from savanna.runs.storage_process import StorageProcess\n"
        "process = StorageProcess(sys.argv[1])\n"
        "process.ask({'do': 'check', 'writable': True}, 100)\n"
        "print(process._process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    result = run([sys.executable, "-c", code, azure.uri("parent", "x")], env=ours())
    assert result.returncode == -9, result.stderr
    wait_until(lambda: gone(int(result.stdout)))


@pytest.mark.parametrize(
    ("location", "changes", "says"),
    [
        (NOWHERE.replace("box", "missing"), {}, "there is no such container"),
        (NOWHERE, {"AZURE_STORAGE_BLOB_ENDPOINT": "http://127.0.0.1:1"}, "could not reach it"),
        (NOWHERE, {"AZURE_STORAGE_KEY": "a2V5"}, "permission denied"),
        (NOWHERE, {"AZURE_STORAGE_KEY": ""}, "AZURE_STORAGE_KEY is not set"),
        (NOWHERE, {"AZURE_STORAGE_KEY": "a2V"}, "AZURE_STORAGE_KEY is not a storage account key"),
        (NOWHERE, {"AZURE_STORAGE_BLOB_ENDPOINT": "ftp://x"}, "AZURE_STORAGE_BLOB_ENDPOINT must"),
        ("abfss://box/results", {}, "use abfss://CONTAINER@ACCOUNT.dfs"),
    ],
)
def test_a_storage_that_does_not_work_is_one_line(
    location, changes, says, azure, monkeypatch, capsys, tmp_path
):
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert main(["train", "cartpole", "--storage", location]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and says in lines[0], lines
    assert KEY not in lines[0] and not list(tmp_path.iterdir())


def test_a_storage_without_credentials_is_one_line(azure, monkeypatch):
    """pyarrow ends the process that asks, which must not be ours."""
    monkeypatch.delenv("AZURE_STORAGE_KEY")
    monkeypatch.setenv("AZURE_STORAGE_BLOB_ENDPOINT", "https://127.0.0.1:1")
    monkeypatch.setenv("PATH", "")  # no `az` that someone is signed in with
    with pytest.raises(UsageError, match=r"no Azure credentials found\. Use a managed identity"):
        open_storage(NOWHERE)


def test_a_storage_that_never_answers_is_given_up(azure, monkeypatch):
    monkeypatch.setattr("savanna.runs.storage.CHECK_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("AZURE_STORAGE_BLOB_ENDPOINT", endpoint)
        with pytest.raises(UsageError, match="no answer within 2 s"):
            open_storage(NOWHERE)


@pytest.mark.parametrize(
    "location",
    [
        f"abfss://box:hunter2/+hunter2==@{ACCOUNT}.dfs.core.windows.net/results",
        f"{NOWHERE}?sv=2024&sig=hunter2",
        f"{NOWHERE}?sas_token=hunter2",
        "s3://name:hunter2@bucket/results",
        "s3://bucket/results?secret_key=hunter2",
    ],
)
def test_a_secret_in_the_location_is_refused_and_not_repeated(location, capsys, monkeypatch):
    monkeypatch.setenv("SAVANNA_STORAGE", location)
    assert main(["train", "cartpole"]) == 2
    line = capsys.readouterr().err
    assert "holds a secret" in line and "hunter2" not in line and len(line.splitlines()) == 1
    assert ("AZURE_STORAGE_KEY" if location.startswith("abfs") else "AWS_ACCESS_KEY_ID") in line


def test_which_storage_is_used(monkeypatch):
    monkeypatch.delenv("SAVANNA_STORAGE", raising=False)
    assert chosen_storage(None) is None
    assert chosen_storage(None, "/saved") == "/saved"
    monkeypatch.setenv("SAVANNA_STORAGE", "/set")
    assert chosen_storage(None, "/saved") == "/set"
    assert chosen_storage("s3://given", "/saved") == "s3://given"
    assert chosen_storage("none", "saved") is None


@pytest.mark.parametrize("scheme", ["file://", ""])
def test_a_folder_is_a_storage_too(scheme, stored, tmp_path):
    run = RunDirectory.find("latest", stored[0] / "runs")
    storage = open_storage(f"{scheme}{tmp_path}/place")
    shutil.copytree(run.path, tmp_path / "place" / "cartpole" / run.id)
    found = download_run(storage, run.id, tmp_path / "runs")
    assert found.metrics()[-1]["iteration"] == 3 and len(found.checkpoints()) == 3


def test_a_run_that_is_nowhere_is_one_line(azure, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    location = azure.uri("empty", "results")
    assert main(["train", "--resume", "nothing", "--storage", location]) == 2
    assert capsys.readouterr().err == f"savanna: no run 'nothing' here or in {location}\n"
