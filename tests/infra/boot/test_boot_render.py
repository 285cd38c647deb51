"""The user data: what it contains, what it must not contain, and that all parts are well formed."""

import ast
import base64
import re
import shutil
import sys
from dataclasses import fields, replace

import pytest
import yaml
from boot_nodes import HEAD, WORKER
from command import run
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.boot.render import LIMIT, cloud_init
from infra.facts import facts

BOTH = pytest.mark.parametrize("node", [HEAD, WORKER], ids=["head", "worker"])


def config(node):
    text = cloud_init(node)
    assert text.startswith("#cloud-config\n")
    return yaml.safe_load(text)


def files(node):
    return {file["path"]: file for file in config(node)["write_files"]}


def environment(node):
    lines = files(node)["/etc/savanna/node.env"]["content"].splitlines()
    return dict(line.split("=", 1) for line in lines)


@BOTH
def test_it_is_files_and_units_only(node):
    found = config(node)
    assert set(found) == {"write_files", "runcmd"}
    assert all(command[0] == "systemctl" for command in found["runcmd"])
    enabled = [word for word in found["runcmd"][-1] if word.endswith(".service")]
    units = {path.rpartition("/")[2] for path in files(node) if path.startswith("/etc/systemd/")}
    assert set(enabled) == units
    assert ("savanna-limits.service" in units) == (node.role == "head")


@BOTH
def test_the_settings_are_the_nodes_and_the_facts(node):
    found = environment(node)
    assert facts().items() <= found.items()
    assert found["ROLE"] == node.role and found["NODE_TYPE"] == node.node_type
    assert found["IMAGE"] == node.image and found["GPUS"] == str(node.gpus)
    assert found["MARKET_TYPE"] == ("spot" if node.spot else "on-demand")
    assert found["REGISTRY_ENDPOINT"] == "https://acme.azurecr.io"
    assert found["BLOB_ENDPOINT"] == "https://acme.blob.core.windows.net/results/dev"


@BOTH
def test_it_fits_into_azures_custom_data(node):
    assert len(base64.b64encode(cloud_init(node).encode())) < LIMIT


@BOTH
def test_it_passes_cloud_inits_schema(node, tmp_path, machine_image):
    (tmp_path / "user-data").write_text(cloud_init(node))
    result = machine_image(
        tmp_path, "cloud-init", "schema", "--config-file", "/given/user-data", "--annotate"
    )
    assert result.returncode == 0 and "Valid cloud-config" in result.stdout, result


def test_the_schema_check_can_fail(tmp_path, machine_image):
    (tmp_path / "user-data").write_text(cloud_init(HEAD).replace("permissions:", "permisions:", 1))
    result = machine_image(tmp_path, "cloud-init", "schema", "--config-file", "/given/user-data")
    assert result.returncode != 0 and "permisions" in result.stdout + result.stderr


@BOTH
def test_systemd_finds_no_fault_with_the_units(node, tmp_path, machine_image):
    names = []
    for path, file in files(node).items():
        if path.startswith("/etc/systemd/"):
            names.append(path.rpartition("/")[2])
            (tmp_path / names[-1]).write_text(file["content"])
    verify = f"cp /given/*.service /etc/systemd/system/ && install -D -m 755 /bin/true \
        /usr/local/lib/savanna/node.sh && systemd-analyze verify {' '.join(names)}"
    result = machine_image(tmp_path, "bash", "-c", verify)
    assert result.returncode == 0 and not result.stderr, result.stderr


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_no_fault_with_the_script(tmp_path):
    script = tmp_path / "node.sh"
    script.write_text(files(HEAD)["/usr/local/lib/savanna/node.sh"]["content"])
    run(["shellcheck", script], check=True)
    assert files(HEAD)["/usr/local/lib/savanna/node.sh"]["permissions"] == "0755"


def test_the_python_of_ubuntu_22_04_understands_the_agent():
    modules = {path: f["content"] for path, f in files(WORKER).items() if path.endswith(".py")}
    assert "/usr/local/lib/savanna/agent/__main__.py" in modules
    for path, text in modules.items():
        tree = ast.parse(text, path, feature_version=(3, 10))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                assert {alias.name.split(".")[0] for alias in node.names} <= sys.stdlib_module_names
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert node.module.split(".")[0] in sys.stdlib_module_names, ast.dump(node)


@BOTH
def test_every_setting_the_script_uses_is_there(node):
    script = files(node)["/usr/local/lib/savanna/node.sh"]["content"]
    used = set(re.findall(r"\$\{?([A-Z_]{2,})\b", script))
    assert {"IMAGE", "JOIN_MINUTES", "STOP_TIMEOUT"} <= used
    assert used - set(environment(node)) == {
        "RUNTIME_DIRECTORY",
        "LOGS_DIRECTORY",
        "STATE_DIRECTORY",
        "SECONDS",
    }


def test_all_mistakes_are_told_at_once_and_by_name():
    wrong = replace(
        HEAD,
        role="boss",
        head_address="here",
        storage="s3://bucket",
        gpus=-1,
        token_secret="https://v/secrets/a b",
        image="other.io/savanna-cpu:1",
    )
    with pytest.raises(ValueError) as error:
        cloud_init(wrong)
    lines = str(error.value).splitlines()
    for name in (
        "role 'boss'",
        "image 'other",
        "head_address 'here'",
        "storage 's3",
        "gpus -1",
        "token_secret 'https://v/secrets/a b'",
    ):
        assert sum(line.startswith(name) for line in lines) == 1, (name, lines)


TEXT = [field.name for field in fields(HEAD) if isinstance(getattr(HEAD, field.name), str)]


@given(st.sampled_from(TEXT), st.sampled_from(["\n", " ", '"', "'", "$", "`", "\\", ";", "#"]))
def test_no_setting_can_add_a_line_or_a_command(name, evil):
    with pytest.raises(ValueError):
        cloud_init(replace(HEAD, **{name: f"x{evil}EVIL=1"}))


@settings(max_examples=25)
@given(st.integers(1, 4000), st.integers(0, 8), st.booleans())
def test_whatever_the_sizes_it_renders_and_fits(shm, gpus, spot):
    node = replace(WORKER, shm_gib=shm, gpus=gpus, spot=spot)
    assert environment(node)["SHM_GIB"] == str(shm)
    assert len(base64.b64encode(cloud_init(node).encode())) < LIMIT


@pytest.fixture(scope="module")
def machine_image():
    """Run a command in the stand-in machine's image, files at /given."""
    from docker_engine import docker, require_engine
    from stand_in import build

    require_engine()
    image = build("bare")

    def run(folder, *command):
        folder.chmod(0o755)
        return docker(
            "run",
            "--rm",
            "--network=none",
            "-v",
            f"{folder}:/given:ro",
            image,
            *command,
            check=False,
        )

    return run
