"""The programs as `pulumi up` runs them: by path, in their folder, from an installed project."""

import json
import sys
import sysconfig
from pathlib import Path

import pytest
from command import run
from example import (
    CLUSTER,
    CLUSTER_PROGRAM,
    FOUNDATION,
    FOUNDATION_PROGRAM,
    REFERENCE,
    as_config,
    cluster,
    foundation,
    foundation_outputs,
)

from infra.facts import ROOT

# Pulumi's language host changes into the program's folder and hands it to runpy.
HOST = """
import collections, json, sys
from pathlib import Path
from infra.plan.engine import run
seen = run(Path("."), *json.loads(sys.argv[1]), references=json.loads(sys.argv[2]))
files = [getattr(m, "__file__", None) or "" for m in list(sys.modules.values())]
files = collections.Counter(file for file in files if "/infra/" in file)
print(json.dumps({"resources": len(seen.created()), "path": sys.path, "files": files}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The Python of an environment like `make setup`'s: what is pinned, and this project."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # Without the pinned packages' .pth files: another checkout may be installed there.
    (site / "pinned.pth").write_text(sysconfig.get_paths()["purelib"])
    uv = Path(sys.executable).with_name("uv")
    install = [uv, "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--editable", ROOT]
    run([*install, "--python", folder / "bin" / "python"], check=True)
    return folder / "bin" / "python"


@pytest.mark.parametrize("name", ["cluster", "foundation"])
def test_a_program_runs_from_its_own_folder(python, name, tmp_path):
    folder = CLUSTER_PROGRAM if name == "cluster" else FOUNDATION_PROGRAM
    project = "savanna" if name == "cluster" else "savanna-foundation"
    config = as_config(CLUSTER if name == "cluster" else FOUNDATION)
    references = {REFERENCE: foundation_outputs()} if name == "cluster" else {}
    host = tmp_path / "host.py"
    host.write_text(HOST)
    result = run(
        [python, "-I", host, json.dumps([project, "test", config]), json.dumps(references)],
        cwd=folder,
        check=True,
    )
    seen = json.loads(result.stdout)
    expected = cluster() if name == "cluster" else foundation()
    assert seen["resources"] == len(expected.created())
    # Found because it is installed: neither the folder nor the checkout is on Python's path.
    assert not {"", ".", str(ROOT), str(folder)} & set(seen["path"])
    assert str(ROOT / "infra" / "components" / "group.py") in seen["files"]
    assert set(seen["files"].values()) == {1}, "a file was loaded under two names"
