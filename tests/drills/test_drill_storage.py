"""A storage that fails at the start, for a while, or until the end."""

import signal
from contextlib import suppress

import pytest
from drill_scene import LIMIT, QUICK, Command, Scene
from faulty_proxy import FAULTS, faulty_proxy

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def stored(azurite, scene):
    """The scene, a proxy before a storage, and the options to use it."""
    location = azurite.uri(f"drill-{scene.mark}", "results")
    with faulty_proxy(azurite.endpoint.removeprefix("http://")) as proxy:
        environment = azurite.environment | {
            "AZURE_STORAGE_BLOB_ENDPOINT": f"http://{proxy.address}"
        }
        yield Stored(scene, proxy, azurite, location, environment)


class Stored:
    def __init__(self, scene: Scene, proxy, azurite, location: str, environment) -> None:
        self.scene, self.proxy, self.azurite = scene, proxy, azurite
        self.location, self.environment = location, environment

    def train(self, *words):
        return self.scene.train("--storage", self.location, *words, **self.environment)

    def fault(self, fault: str, when: str = "") -> None:
        self.scene.fault(f"the storage {fault}{when}")
        self.proxy.become(fault)

    def copier(self, command: Command):
        """The process that copies."""
        found = [
            p for p in command.children("python") if "savanna.runs.storage_server" in p.cmdline()
        ]
        assert len(found) == 1
        return found[0]

    def there(self) -> dict[str, bytes]:
        """The newest run's files in the storage."""
        from pyarrow.fs import FileSelector, FileType

        container = f"drill-{self.scene.mark}"
        run = self.scene.run_directory()
        root = f"{container}/results/{run.path.parent.name}/{run.id}/"
        files = self.azurite.filesystem.get_file_info(FileSelector(container, recursive=True))
        found = {}
        for file in files:
            if file.type == FileType.File and file.path.startswith(root):
                with (
                    suppress(FileNotFoundError),  # deleted meanwhile
                    self.azurite.filesystem.open_input_stream(file.path) as stream,
                ):
                    found[file.path.removeprefix(root)] = stream.read()
        return found

    def complete(self) -> None:
        """The storage has all rows and the newest checkpoint."""
        run, there = self.scene.run_directory(), self.there()
        assert there["metrics.csv"] == (run.path / "metrics.csv").read_bytes()
        newest = run.checkpoints()[-1]
        assert f"checkpoint_{newest.number:06d}/checkpoint.json" in there
        assert b'"stopped"' in there["status.json"]


def stop(scene: Scene, command: Command, code: int = 143) -> None:
    command.process.terminate()
    assert command.ended() == code, command.said()


@pytest.mark.parametrize("fault", FAULTS)
def test_at_the_start(stored, fault):
    """It is found out before anything is started."""
    stored.fault(fault)
    with stored.train() as command:
        code = command.ended()
        assert code in (1, 2), command.said()
        stored.scene.done(f"exit {code}")
        stored.scene.nothing_left()
    assert len(command.said().splitlines()) <= 2, command.said()


@pytest.mark.parametrize("fault", FAULTS)
def test_for_a_while(stored, fault):
    """Training goes on, and everything arrives once it is back."""
    scene = stored.scene
    with stored.train() as command:
        command.until_rows(2)
        command.until(lambda: "metrics.csv" in stored.there())
        scene.pause(2)
        stored.fault(fault, " for a while")
        command.goes_on(8)
        assert command.process.poll() is None
        stored.proxy.become("")
        stop(scene, command)
        scene.done("went on, all copied", exact=True)
        scene.nothing_left()
    stored.complete()


@pytest.mark.parametrize("fault", FAULTS)
def test_until_the_end(stored, fault, monkeypatch):
    """The command ends all the same, and says where the results are."""
    scene = stored.scene
    with stored.train() as command:
        command.until_rows(2)
        stored.fault(fault, " until the end")
        command.goes_on(4)
        scene.fault(f"the storage {fault}; SIGTERM twice")
        command.process.terminate()
        command.until_said("Stopping after")
        command.until(lambda: scene.run_directory().status["state"] == "stopped")
        scene.pause(2)
        if command.process.poll() is None:
            command.process.terminate()
        code = command.ended()
        assert code == 128 + signal.SIGTERM, command.said()
        scene.done(f"exit {code}, kept here", exact=True)
        scene.nothing_left()
    assert "could not copy" in command.said() and "only in" in command.said(), command.said()


def test_the_copier_is_killed(stored):
    """Another one goes on where it was."""
    scene = stored.scene
    with stored.train() as command:
        command.until_rows(2)
        copier = stored.copier(command)
        scene.fault("SIGKILL to the process that copies")
        copier.kill()
        command.goes_on(4)
        stop(scene, command)
        scene.done("went on, all copied", exact=True)
        scene.nothing_left()
    stored.complete()


def test_the_copier_stands_still(stored):
    scene = stored.scene
    with stored.train() as command:
        command.until_rows(2)
        copier = stored.copier(command)
        scene.fault("the process that copies stands still; SIGTERM twice")
        copier.send_signal(signal.SIGSTOP)
        command.goes_on(4)
        command.process.terminate()
        command.until(lambda: scene.run_directory().status["state"] == "stopped")
        scene.pause(1)
        command.process.terminate()
        code = command.ended()
        scene.done(f"exit {code}", exact=True)
        scene.nothing_left()
    assert code == 143


def test_the_machine_is_lost_and_another_goes_on_from_the_storage(stored, tmp_path):
    """What the first one had copied is there; only what came after the last copy is lost."""
    scene = stored.scene
    with stored.train() as command:
        command.until_rows(1)
        command.until(lambda: any("checkpoint.json" in name for name in stored.there()))
        scene.pause(3)
        scene.fault("SIGKILL to the command; its disk is lost")
        command.process.kill()
        command.process.wait(30)
        scene.nothing_left(killed=True)
    rows, stored_rows = scene.rows(), len(stored.there()["metrics.csv"].splitlines()) - 1
    name = scene.run_directory().id
    (scene.home / "runs").rename(scene.home / "lost")
    words = ("--resume", f"cartpole/{name}", "--storage", stored.location, *QUICK)
    more = ("--stop", "none", "--stop", "iterations=40")
    with scene.command("train", *words, *more, **stored.environment) as command:
        assert command.process.wait(LIMIT + 60) == 0, command.said()
    scene.check_history()
    scene.found.outcome, scene.found.seconds = "resumed from the storage", scene.since()
    scene.found.lost = max(0, rows - stored_rows)
    scene.nothing_left()
