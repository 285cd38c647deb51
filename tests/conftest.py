"""Shared fixtures: the real command in a subprocess, and one tiny run that many tests use."""

import os
import shutil
from pathlib import Path

import pytest
import warm
from azurite import azurite  # noqa: F401 (a fixture)
from command import savanna
from distribution import CONTAINERS, SLOW, ContainersAside, place
from filelock import FileLock
from hypothesis import settings

# Set before torch is imported anywhere: tests share few cores with Ray's processes.
os.environ.setdefault("OMP_NUM_THREADS", "1")
settings.register_profile("no-time", deadline=None)  # a busy machine is not a mistake
settings.load_profile("no-time")
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# `make test ARGS=...` passes its variables on to every make that tests start.
for name in ("MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "MAKELEVEL", "ARGS"):
    os.environ.pop(name, None)


IMAGE_TIMEOUT = 1800
"""Seconds for a test that needs the image: the first such test builds it."""


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="skip tests that start a process or take seconds"
    )


def pytest_configure(config) -> None:
    warm.quick = config.getoption("--quick")


def pytest_runtest_setup(item) -> None:
    if warm.quick and item.nodeid.startswith(SLOW):
        pytest.skip("takes seconds")


def pytest_xdist_make_scheduler(config, log):
    return ContainersAside(config, log)


@pytest.hookimpl(trylast=True)  # of what -k and -m have left
def pytest_collection_modifyitems(items) -> None:
    # The longest come first, so that no process is idle at the end: containers, then training.
    places = {item: place(item.nodeid) for item in items}
    with_image = {item for item in items if "image" in item.fixturenames}

    def order(item) -> tuple[bool, int, bool]:
        before = places[item] is not None and item not in with_image
        place = len(CONTAINERS) if places[item] is None else places[item]
        return not before, place, not item.nodeid.startswith("tests/training/")

    items.sort(key=order)
    for item in items:
        if item in with_image and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(IMAGE_TIMEOUT))
        if with_image and places[item] is not None and not warm.quick:
            item.fixturenames.insert(0, "image_building")


@pytest.fixture(scope="session")
def trained(tmp_path_factory, worker_id) -> Path:
    """A folder in which `savanna train cartpole` ran for three iterations; do not change it.

    Processes that run tests side by side share it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "trained"
    with FileLock(f"{folder}.lock"):
        if not (folder / "stderr").exists():
            folder.mkdir(exist_ok=True)
            _train(folder)
    return folder


def _train(folder: Path) -> None:
    result = savanna(
        "train",
        "cartpole",
        "--stop",
        "iterations=3",
        "--checkpoint-freq",
        "1",
        "--seed",
        "1",
        "--evaluate-episodes",
        "3",
        cwd=folder,
        fresh=True,
    )
    assert result.returncode == 0, result.stderr
    (folder / "stdout").write_text(result.stdout)
    (folder / "stderr").write_text(result.stderr)


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """A copy of `trained` that a test may change."""
    shutil.copytree(trained, tmp_path / "copy", symlinks=True)
    return tmp_path / "copy"


@pytest.fixture(scope="session")
def image_building(tmp_path_factory):
    from docker_engine import cpu_image

    with cpu_image(tmp_path_factory.mktemp("image") / "log") as name:
        yield name


@pytest.fixture(scope="session")
def image(image_building) -> str:
    """The CPU image, built from this checkout."""
    return image_building()
