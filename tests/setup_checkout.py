"""A checkout for `make setup`, with a fake Python and uv that only record how they are called."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from subprocess import Popen  # noqa: TID251 (the type)

from command import ROOT, run, started
from waiting import wait_until

COPIED = (
    "Makefile",
    "infra/setup.sh",
    "images/wheel.sh",
    "images/torch-cpu.txt",
    "pyproject.toml",
    "requirements.txt",
    "requirements-dev.txt",
)
TORCH = next(
    line
    for line in (ROOT / "requirements.txt").read_text().splitlines()
    if line.startswith("torch==")
)
WHEEL = f"{TORCH.replace('==', '-')}+cpu-cp311-cp311-manylinux_2_28_{os.uname().machine}.whl"

# `python3.11` on PATH, and what it creates: .venv/bin/python, and uv through its pip.
PYTHON = """#!/bin/bash
case "$*" in
  *"import ensurepip, venv"*) [[ ! -e $FAKE/no-venv ]] ;;
  "-c "*) ;;
  "-m venv --clear "*) echo "venv" >> "$FAKE/calls"
    rm -rf "$4"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  "-m pip install -qq uv=="*) version=${5#uv==}
    sed "s/VERSION/$version/" "$FAKE/uv" > "${0%/*}/uv"; chmod +x "${0%/*}/uv" ;;
  *) exit 64 ;;
esac
"""
# FAKE/refuses names what the network refuses: torch's own index, or everything. The text is uv's.
UV = """#!/bin/bash
[[ $1 == --version ]] && echo "uv VERSION (fake)" && exit
echo "$*" >> "$FAKE/calls"
refuses=$(cat "$FAKE/refuses" 2>/dev/null)
if [[ $refuses == all || $refuses == torch && $* == *--torch-backend* ]]; then
  echo "error: Request failed after 3 retries in 9.6s
  cause: Failed to fetch: https://index.example.org/whl/cpu/torch/
  cause: failed to lookup address information: Name or service not known" >&2
  exit 2
fi
if [[ $refuses == hangs && $* == *--torch-backend* ]]; then exec sleep 60; fi
case "$*" in
  "pip compile "*) read -r pin; [[ $* != *--torch-backend* ]] || pin=$pin+cpu; echo "$pin" ;;
  "pip install "*-r*)
    mkdir -p .venv/lib/python3.11/site-packages/TORCH+cpu.dist-info
    if [[ -e $FAKE/full ]]; then echo "error: No space left on device (os error 28)" >&2; exit 2; fi
    [[ ! -p $FAKE/gate ]] || exec cat "$FAKE/gate" ;;
esac
""".replace("TORCH", TORCH.replace("==", "-"))


class Checkout:
    """A checkout in a path with a space, and the machine around it."""

    def __init__(self, folder):
        self.folder, self.fake = folder / "a checkout", folder / "fake"
        for name in COPIED:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.folder / name)
        self.fake.mkdir()
        for name, text in {"python3.11": PYTHON, "uv": UV}.items():
            (self.fake / name).write_text(text)
            (self.fake / name).chmod(0o755)
        self.stamp = self.folder / ".venv/.installed"
        unset = {"TORCH_WHEELS", "UV_FIND_LINKS", "PIP_FIND_LINKS", "UV_TORCH_BACKEND"}
        self.environment = {k: v for k, v in os.environ.items() if k not in unset} | {
            "PATH": f"{self.fake}{os.pathsep}{os.environ['PATH']}",
            "FAKE": str(self.fake),
        }

    def has(self, name, text=""):
        (self.fake / name).write_text(text)

    def lacks(self, name):
        (self.fake / name).unlink()

    def wheels(self, name):
        folder = self.folder / name
        folder.mkdir(parents=True)
        (folder / WHEEL).touch()
        return folder

    def starting(self, **environment):
        return started(
            ["make", "setup"],
            cwd=self.folder,
            stdout=-1,
            stderr=-1,
            env=self.environment | environment,
        )

    @contextmanager
    def installing(self) -> Iterator[tuple[Popen, Callable[[], None]]]:
        """`make setup` while uv installs, and what lets uv go on.

        The pipe has a reader only then, one that ends by Ctrl-C as uv does: bash may miss one.
        """
        gate = self.fake / "gate"
        os.mkfifo(gate)

        def opened():
            with suppress(OSError):
                return os.fdopen(os.open(gate, os.O_WRONLY | os.O_NONBLOCK), "w")

        with self.starting() as process:
            with wait_until(opened, "uv installs", process=process) as writer:
                gate.unlink()
                yield process, writer.close

    def setup(self, **environment):
        return run(["make", "setup"], cwd=self.folder, env=self.environment | environment)

    def outdate(self):
        os.utime(self.stamp, (1, 1))

    def calls(self, start=""):
        """The calls of Python and uv that begin with `start`."""
        calls = self.fake / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return [line for line in lines if line.startswith(start)]

    def installs(self):
        return [call for call in self.calls("pip install") if "-r requirements-dev.txt" in call]
