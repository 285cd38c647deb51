"""Azurite, Microsoft's emulator of Azure storage, as a fixture."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import run, started
from waiting import wait_until

VERSION = "3.35.0"  # the last that runs on the Node.js of Debian 12
ACCOUNT = "devstoreaccount1"
# Azurite's documented key, which is the same for everybody and not a secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Azurite:
    """A running emulator."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What `savanna` needs to use it."""
        return {"AZURE_STORAGE_KEY": KEY, "AZURE_STORAGE_BLOB_ENDPOINT": self.endpoint}

    @property
    def filesystem(self) -> Any:
        """Its blobs, accessed without our code."""
        from pyarrow.fs import AzureFileSystem

        host = self.endpoint.removeprefix("http://")
        return AzureFileSystem(
            ACCOUNT,
            account_key=KEY,
            blob_storage_authority=host,
            blob_storage_scheme="http",
            dfs_storage_authority=host,
            dfs_storage_scheme="http",
        )

    def uri(self, container: str, path: str) -> str:
        """A location in a new container."""
        self.filesystem.create_dir(container)
        return f"abfss://{container}@{ACCOUNT}.dfs.core.windows.net/{path}"


def install() -> Path:
    """The folder with Azurite's programs, installed outside the repository if necessary."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "savanna-tests"
    folder = cache / f"azurite-{VERSION}"
    programs = Path("node_modules") / ".bin"
    if (folder / programs / "azurite-blob").exists():
        return folder / programs
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    if missing:
        text = f"{' and '.join(missing)} not found: the Azurite emulator needs Node.js and npm"
        if os.environ.get("CI"):
            pytest.fail(f"{text} (Debian: apt-get install nodejs npm)")
        pytest.skip(text)
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        npm = [
            "npm",
            "install",
            "--prefix",
            temporary,
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--omit=dev",
            f"azurite@{VERSION}",
        ]
        run(npm, check=True, timeout=300)
        shutil.rmtree(folder, ignore_errors=True)
        Path(temporary).rename(folder)
        Path(temporary).mkdir()
    return folder / programs


@pytest.fixture(scope="session")
def azurite(tmp_path_factory) -> Iterator[Azurite]:
    """A running Azurite; skipped without Node.js, but failed on CI."""
    folder = tmp_path_factory.mktemp("azurite")
    output = folder / "output"
    command = [
        install() / "azurite-blob",
        "--blobPort",
        "0",
        "--location",
        folder / "data",
        "--silent",
        "--blobKeepAliveTimeout",
        "300",
        "--skipApiVersionCheck",
        "--disableTelemetry",
    ]
    with output.open("w") as file, started(command, stdout=file, stderr=file) as process:
        found = wait_until(
            lambda: re.search(r"listens on (http://\S+)", output.read_text()),
            "Azurite answers",
            process=process,
            said=output.read_text,
        )
        yield Azurite(found[1])
