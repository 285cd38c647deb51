"""The Docker Engine and our image for tests that need them."""

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from command import ROOT, TAIL, finish, run, started

# How long the base image and ours may take to build.
BASE_SECONDS, BUILD_SECONDS = 300, 1200


def docker_command() -> str:
    """Debian's own client: its built-in BuildKit needs no plug-in."""
    return "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"


def docker(*arguments, check: bool = True, timeout: float = 120, **more):
    """Run the Docker command; its completed process, output as text."""
    command = [docker_command(), *arguments]
    if arguments[:2] != ("run", "--rm"):
        return run(command, check=check, timeout=timeout, **more)
    # A container continues without the client that waits for it.
    name = f"savanna-once-{secrets.token_hex(4)}"
    command[3:3] = ["--name", name]
    try:
        return run(command, check=check, timeout=timeout, **more)
    except BaseException:
        docker("rm", "-f", "-v", name, check=False)
        raise


def no_engine() -> str | None:
    """The message if no Docker Engine answers."""
    if shutil.which("docker") and docker("version", check=False).returncode == 0:
        return None
    return "no Docker Engine answers `docker version`"


def require_engine() -> None:
    """Skip without a Docker Engine; in CI, which has one, fail."""
    reason = no_engine()
    if reason and os.environ.get("CI"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


def base_image() -> str:
    """`BASE_IMAGE`, or the public one, or one built here from Debian's archive."""
    given = os.environ.get("BASE_IMAGE")
    local = "savanna-base:bookworm"
    for name in filter(None, (given, local)):
        if docker("image", "inspect", name, check=False).returncode == 0:
            return name
    if os.geteuid() == 0 and shutil.which("debootstrap"):
        environment = {**os.environ, "DOCKER": docker_command()}
        run([ROOT / "images/base.sh", local], check=True, timeout=BASE_SECONDS, env=environment)
        return local
    return given or "debian:bookworm-slim"


@contextmanager
def cpu_image(log: Path) -> Iterator[Callable[[], str]]:
    """Builds the CPU image of this checkout with `images/build.sh`, beside the tests.

    Yields a function that waits for it and returns its name with its tag, or skips the test if it
    cannot be built.
    """
    wheel = run([ROOT / "images/wheel.sh"])
    if no_engine() or wheel.returncode:

        def missing() -> NoReturn:
            require_engine()
            pytest.skip(wheel.stderr.strip())

        yield missing
        return
    bundle = Path("/etc/ssl/certs/ca-certificates.crt")
    environment = {
        **os.environ,
        "DOCKER": docker_command(),
        "BASE_IMAGE": base_image(),
        "CA_BUNDLE": str(bundle) if bundle.exists() else "",
        "UV": str(Path(sys.executable).with_name("uv")),
    }
    build = [ROOT / "images/build.sh", "cpu"]
    with (
        log.open("w") as file,
        started(build, env=environment, stdout=file, stderr=file) as process,
    ):

        def name() -> str:
            finish(process, BUILD_SECONDS)
            said = log.read_text()
            if process.returncode:
                pytest.fail(f"images/build.sh: exit code {process.returncode}\n{said[-TAIL:]}")
            return said.splitlines()[-1].split()[0]

        yield name
