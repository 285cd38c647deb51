"""`make images image-push`, with a fake engine and `az` that only record how they are called."""

import os
import shutil

import pytest
from command import ROOT, run

DOCKER = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in
  "build "*) for context; do :; done; cp "$context/requirements.txt" "$CALLS.installed" ;;
  "image inspect -f {{.Size}}"*) echo 1000000 ;;
  "image inspect -f"*) echo "images.azurecr.io/savanna-cpu@sha256:abc" ;;
  "image inspect"*) grep -q -- "-t $3 " "$CALLS" ;;
esac
"""
COPIED = (
    "Makefile",
    "cluster.env",
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "requirements.txt",
    "requirements-dev.txt",
    "requirements-doom.txt",
)


@pytest.fixture
def checkout(tmp_path):
    """A clean commit of the images' sources, with an environment that counts as installed."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in COPIED:
        shutil.copy2(ROOT / name, folder / name)
    shutil.copytree(ROOT / "images", folder / "images", ignore=shutil.ignore_patterns("wheelhouse"))
    (folder / ".gitignore").write_text(".venv\nbuild\nimages/wheelhouse\n")
    (folder / "training" / "savanna").mkdir(parents=True)
    (folder / "training" / "savanna" / "__init__.py").touch()
    (folder / "Pulumi.dev.yaml").write_text("config: {}\n")
    (folder / "infra" / "foundation").mkdir(parents=True)
    (folder / "infra" / "foundation" / "Pulumi.dev.yaml").write_text("config: {}\n")
    author = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for command in (["init", "-q"], ["add", "-A"], [*author, "commit", "-qm", "x"]):
        run(["git", *command], cwd=folder, check=True)
    (folder / ".venv").mkdir()
    (folder / ".venv" / ".installed").touch()
    return folder


@pytest.fixture
def make(checkout, tmp_path):
    """Run the real Make there; returns the process and the calls of the engine."""
    commands = tmp_path / "bin"
    commands.mkdir()
    environment_bin = checkout / ".venv" / "bin"
    environment_bin.mkdir()
    for file, text in {
        commands / "docker": DOCKER,
        commands / "az": "#!/bin/sh\n",
        environment_bin / "uv": "#!/bin/sh\n",
    }.items():
        file.write_text(text)
        file.chmod(0o755)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    [version] = [
        line[7:]
        for line in (ROOT / "images/torch-cpu.txt").read_text().splitlines()
        if line.startswith("torch==")
    ]
    (wheels / f"torch-{version}-cp311-cp311-linux_x86_64.whl").touch()
    calls = tmp_path / "calls"
    environment = {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "CALLS": str(calls),
        "DOCKER": "docker",
        "TORCH_WHEELS": str(wheels),
    }

    def run_make(*arguments):
        calls.write_text("")
        done = run(["make", *arguments], cwd=checkout, env=environment)
        return done, calls.read_text()

    return run_make


ARGUMENTS = ("images", "image-push", "FLAVOURS=cpu", "REGISTRY=images.azurecr.io")


def test_what_is_built_is_what_is_pushed(make, checkout):
    done, calls = make(*ARGUMENTS)
    assert done.returncode == 0, done.stderr
    head = run(["git", "rev-parse", "--short=12", "HEAD"], cwd=checkout, check=True)
    commit = head.stdout.strip()
    assert f"-t savanna-cpu:{commit} " in calls
    assert f"tag savanna-cpu:{commit} images.azurecr.io/savanna-cpu:{commit}-" in calls
    assert "push --quiet images.azurecr.io/savanna-cpu:" in calls
    assert "sha256:abc" in (checkout / "build/images/cpu.ref").read_text()


def test_a_changed_source_is_not_pushed_and_changed_settings_are_no_change(make, checkout):
    for settings in ("Pulumi.dev.yaml", "infra/foundation/Pulumi.dev.yaml"):
        (checkout / settings).write_text("config: {a:b: c}\n")
    done, calls = make(*ARGUMENTS)
    assert done.returncode == 0 and "-dirty" not in calls, done.stderr
    (checkout / "images" / "entrypoint.sh").write_text("changed\n")
    done, calls = make(*ARGUMENTS)
    assert done.returncode != 0 and "uncommitted changes" in done.stderr
    assert "-dirty" in calls and "push" not in calls


def test_extras_are_installed_on_top_of_the_pinned_packages(make, tmp_path):
    def installed(*arguments):
        done, _ = make("images", "FLAVOURS=cpu", *arguments)
        assert done.returncode == 0, done.stderr
        return set((tmp_path / "calls.installed").read_text().splitlines())

    pinned = set((ROOT / "requirements.txt").read_text().splitlines())
    assert installed() == pinned
    [vizdoom] = installed("EXTRAS=doom") - pinned
    assert vizdoom.startswith("vizdoom==")
    done, _ = make("images", "FLAVOURS=cpu", "EXTRAS=dom")
    assert done.returncode != 0 and "the only extra is doom" in done.stderr
