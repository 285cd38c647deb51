"""The CPU image, seen from inside (pytest-testinfra) and by the Docker Engine."""

import json
import re
import sys
from pathlib import Path

import pytest
import testinfra
from command import ROOT, run
from docker_engine import docker

from infra.facts import facts

PINS = dict(
    line.split("==") for line in (ROOT / "requirements.txt").read_text().split() if "==" in line
)
LEFT_OUT = [line.split("==")[0] for line in (ROOT / "images/left-out.txt").read_text().split()]


@pytest.fixture(scope="module")
def host(image):
    """A running container of the image."""
    container = docker("run", "-d", "--network=none", image, "sleep", "infinity").stdout.strip()
    yield testinfra.get_host(f"docker://{container}")
    docker("rm", "-f", container)


@pytest.fixture(scope="module")
def details(image):
    return json.loads(docker("image", "inspect", image).stdout)[0]


def test_it_runs_as_an_ordinary_user(host):
    user = host.user()
    assert (user.name, user.uid) == (facts()["CONTAINER_USER"], int(facts()["CONTAINER_UID"]))
    assert host.run("touch /opt/savanna/x /opt/venv/x /usr/x").rc != 0
    assert host.run(f"touch {facts()['RESULTS_PATH']}/x {facts()['LOGS_PATH']}/x").rc == 0


def test_tini_reaps_and_passes_signals_on(host):
    assert host.file("/proc/1/cmdline").content_string.startswith("/usr/bin/tini\x00--\x00")


def test_every_package_has_the_pinned_version(host):
    script = (
        "import importlib.metadata as m, json, re;"
        "print(json.dumps({re.sub('[-_.]+', '-', d.metadata['Name']).lower(): d.version"
        " for d in m.distributions()}))"
    )
    installed = json.loads(host.check_output(f'/opt/venv/bin/python -c "{script}"'))
    expected = {name: version for name, version in PINS.items() if name not in LEFT_OUT}
    assert installed.pop("savanna")
    assert installed.pop("torch").startswith(PINS["torch"])
    assert installed == expected


def test_what_is_left_out_is_pinned_elsewhere():
    assert set(LEFT_OUT) <= set(PINS)


def test_the_command_works_and_pong_plays(host):
    assert re.match(r"savanna \d", host.check_output("savanna --version"))
    script = (
        "from savanna.envs.atari import make_atari_vector_env as make; import numpy as np;"
        "e = make('PongNoFrameskip-v4', 2, frame_size=42, frame_stack=4, episodic_life=False,"
        " num_threads=1); e.reset(seed=np.array([1, 2], np.int32));"
        "print(e.step(np.array([0, 2]))[0].shape)"
    )
    assert host.check_output(f'python -c "{script}"') == "(2, 4, 42, 42)"


def test_no_compiler_and_no_installer_is_left(host):
    for name in ("gcc", "cc", "g++", "make", "ld", "pip", "uv", "git", "curl", "wget"):
        assert not host.exists(name), name
    assert host.run("python -m pip --version").rc != 0


def test_nothing_listens_until_it_is_told_a_role(host):
    listening = [s for s in host.file("/proc/net/tcp").content_string.splitlines() if " 0A " in s]
    assert not listening


def test_no_program_gains_rights_from_its_file(host):
    """Only Debian's own files have the set-uid bit; Ray's and ours do not."""
    assert host.check_output("find /opt /results /home -perm /6000 -type f") == ""


def test_labels_name_the_commit_and_ray(details):
    labels = details["Config"]["Labels"]
    head = run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True).stdout.strip()
    assert labels["org.opencontainers.image.revision"] == head
    assert labels["savanna.ray.version"] == PINS["ray"]
    assert labels["savanna.flavour"] == "cpu"
    assert labels["org.opencontainers.image.version"]


def test_health_check_and_entry_point_are_set(details):
    config = details["Config"]
    assert config["Entrypoint"] == ["/usr/bin/tini", "--", "/opt/savanna/entrypoint.sh"]
    assert config["Healthcheck"]["Test"][-1] == "/opt/savanna/healthcheck.py"
    assert config["User"] == facts()["CONTAINER_USER"]
    assert not config.get("ExposedPorts")


def test_no_secret_in_the_history_or_the_files(image, host):
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout
    assert not re.search(r"BEGIN CERTIFICATE|password|token=|secret=", history, re.IGNORECASE)
    assert not host.file("/run/ca.crt").exists
    assert host.run(f"cat {facts()['TOKEN_PATH']}").rc != 0


def test_the_bill_of_materials_lists_debian_and_python_packages(image):
    describe = [sys.executable, ROOT / "images/describe.py", "sbom", image]
    result = run(describe, check=True)
    content = json.loads(result.stdout)
    found = {c["purl"].split("@")[0] for c in content["components"]}
    assert {"pkg:deb/debian/tini", "pkg:pypi/ray", "pkg:pypi/ale-py"} <= found
    assert content["bomFormat"] == "CycloneDX"


def test_the_provenance_names_the_commit(image, details):
    describe = [sys.executable, ROOT / "images/describe.py", "provenance", image]
    result = run(describe, check=True)
    statement = json.loads(result.stdout)
    sources = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    revision = details["Config"]["Labels"]["org.opencontainers.image.revision"]
    assert sources[0]["digest"] == {"gitCommit": revision}
    assert statement["subject"][0]["digest"]["sha256"] in details["Id"]


def test_a_run_works_inside_one_container(image, tmp_path):
    """The laptop case: no cluster, one container, results in a folder of the user."""
    Path(tmp_path).chmod(0o777)
    result = docker(
        "run",
        "--rm",
        "--shm-size=1g",
        "-v",
        f"{tmp_path}:{facts()['RESULTS_PATH']}",
        image,
        "savanna",
        "train",
        "cartpole",
        "--stop",
        "iterations=1",
        "--evaluate-episodes",
        "1",
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    run = next((tmp_path / "cartpole").glob("2*"))
    assert json.loads((run / "status.json").read_text())["state"] == "succeeded"
    assert list(run.glob("tensorboard/**/events*")) and list((run / "videos").glob("*.mp4"))
    assert (run / "mlflow.json").exists(), "MLflow recorded nothing"
