"""The files that images are built from, without building one."""

import re

from docker_engine import ROOT

from infra.facts import facts


def test_ports_are_distinct_and_outside_the_workers_range():
    ports = [int(value) for key, value in facts().items() if key.endswith("_PORT")]
    assert len(ports) == len(set(ports))
    low, high = int(facts()["MIN_WORKER_PORT"]), int(facts()["MAX_WORKER_PORT"])
    assert [port for port in ports if low <= port <= high] == [low, high]
    assert high - low >= 2 * 96, "fewer ports than a large machine's processes need"


def test_every_fixed_port_reaches_ray():
    script = (ROOT / "images/entrypoint.sh").read_text()
    for key in facts():
        if key.endswith("_PORT"):
            assert f"${key}" in script or f" {key}" in script, key


def test_shared_memory_holds_the_object_store_and_stopping_fits():
    assert int(facts()["SHM_PERCENT"]) > int(facts()["OBJECT_STORE_PERCENT"])
    assert int(facts()["CHECKPOINT_TIMEOUT"]) < int(facts()["STOP_TIMEOUT"])
    assert int(facts()["DRAIN_TIMEOUT"]) < 30, "a spot machine is gone after 30 s"


def test_both_flavours_take_the_pinned_torch():
    pinned = re.search(r"^torch==.*$", (ROOT / "requirements.txt").read_text(), re.M)[0]
    for flavour in ("cpu", "gpu"):
        assert pinned in (ROOT / f"images/torch-{flavour}.txt").read_text().splitlines()
    gpu = (ROOT / "images/torch-gpu.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.]+", line) for line in gpu)
    assert any(line.startswith("nvidia-cudnn") for line in gpu)


def test_building_without_its_needs_says_which(tmp_path, run_script):
    assert "name a flavour" in run_script("images/build.sh", "tpu").stderr
    no_engine = run_script("images/build.sh", "cpu", DOCKER="/nonexistent/docker")
    assert no_engine.returncode == 2 and "no Docker Engine" in no_engine.stderr
    no_wheel = run_script("images/build.sh", "cpu", DOCKER="true", TORCH_WHEELS=str(tmp_path))
    assert no_wheel.returncode == 2 and "no CPU wheel of torch" in no_wheel.stderr
    for verb, says in (("push", "set REGISTRY"), ("sign", ""), ("x", "must be push or sign")):
        result = run_script("images/publish.sh", verb, "cpu", REGISTRY="")
        assert result.returncode == 2 and says in result.stderr
