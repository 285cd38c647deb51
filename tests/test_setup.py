"""`make setup`, with a fake Python and uv that only record how they are called."""

import os
import shutil
import signal

import pytest
from command import ROOT, finish, run
from setup_checkout import TORCH, WHEEL, Checkout
from waiting import PATIENCE


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


@pytest.mark.parametrize("variable", ["TORCH_WHEELS", "UV_FIND_LINKS", "PIP_FIND_LINKS", None])
def test_a_folder_with_a_wheel_of_torch_is_taken_and_no_index_asked(checkout, variable):
    name = {None: "images/wheelhouse", "PIP_FIND_LINKS": "wheels"}.get(variable, "my wheels")
    checkout.wheels(name)
    done = checkout.setup(**({variable: name} if variable else {}))
    assert done.returncode == 0, done.stderr
    assert f"{name}/{WHEEL}" in done.stdout
    [install] = checkout.installs()
    assert f"--find-links {name} " in install and "--torch-backend" not in install
    assert not checkout.calls("pip compile")
    assert checkout.stamp.exists()


@pytest.mark.parametrize("content", [None, "torch-1.0.0-cp311-cp311-linux_x86_64.whl"])
def test_torch_wheels_without_a_fitting_wheel_is_an_error(checkout, content):
    checkout.wheels("images/wheelhouse")
    if content:
        (checkout.folder / "mine").mkdir()
        (checkout.folder / "mine" / content).touch()
    done = checkout.setup(TORCH_WHEELS="mine")
    assert done.returncode != 0 and not checkout.installs()
    assert f"no CPU wheel of torch {TORCH[7:]} for Python 3.11 in mine" in done.stderr
    assert checkout.setup().returncode == 0


def test_without_a_wheel_uv_chooses_for_the_machine(checkout):
    done = checkout.setup(PIP_FIND_LINKS="/nonexistent")
    assert done.returncode == 0, done.stderr
    assert f"with {TORCH}+cpu ..." in done.stdout and not done.stderr
    [install] = checkout.installs()
    assert "--torch-backend=auto" in install


def test_a_build_that_the_user_names_is_taken_or_fails(checkout):
    checkout.has("refuses", "torch")
    done = checkout.setup(UV_TORCH_BACKEND="cu130")
    assert done.returncode != 0 and "7.0 GB" not in done.stderr
    [install] = checkout.installs()
    assert "--torch-backend=cu130" in install


def test_where_torchs_index_is_refused_the_default_is_taken_with_a_word_about_its_size(checkout):
    checkout.has("refuses", "torch")
    done = checkout.setup()
    assert done.returncode == 0, done.stderr
    assert "7.0 GB" in done.stderr and "make setup TORCH_WHEELS=folder" in done.stderr
    assert "Name or service not known" in done.stderr
    [install] = checkout.installs()
    assert "--torch-backend" not in install and "--find-links" not in install


def test_an_index_that_does_not_answer_is_waited_for_a_bounded_time(checkout):
    timeout = checkout.fake / "timeout"
    timeout.write_text(f'#!/bin/bash\nexec {shutil.which("timeout")} "$1" 1 "${{@:3}}"\n')
    timeout.chmod(0o755)
    checkout.has("refuses", "hangs")
    done = checkout.setup()
    assert done.returncode == 0, done.stderr
    assert "(no answer within 60 s)" in done.stderr and "7.0 GB" in done.stderr


def test_no_network_is_an_error_and_not_a_choice(checkout):
    checkout.has("refuses", "all")
    done = checkout.setup()
    assert done.returncode != 0 and not checkout.installs()
    assert "cannot use the package index" in done.stderr
    assert "Name or service not known" in done.stderr and "7.0 GB" not in done.stderr
    checkout.lacks("refuses")
    assert checkout.setup().returncode == 0


@pytest.mark.parametrize("what", ["a new", "an outdated"])
def test_a_full_disk_is_an_error_after_which_setup_makes_a_whole_environment(checkout, what):
    if what == "an outdated":
        assert checkout.setup().returncode == 0
        checkout.outdate()
        (checkout.fake / "calls").unlink()
    checkout.has("full")
    done = checkout.setup()
    assert done.returncode != 0 and not checkout.stamp.exists()
    assert "No space left on device" in done.stderr
    assert "uv could not install the packages" in done.stderr and "7.0 GB" not in done.stderr
    assert len(checkout.installs()) == 1
    checkout.lacks("full")
    half = checkout.folder / ".venv/half-a-package"
    half.touch()
    assert checkout.setup().returncode == 0
    assert checkout.stamp.exists() and not half.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_setup_is_repaired_by_the_next(checkout, number):
    with checkout.installing() as (process, _):
        os.killpg(process.pid, number)
        finish(process, PATIENCE)
        assert process.returncode != 0
    assert not checkout.stamp.exists()
    half = checkout.folder / ".venv/half-a-package"
    half.touch()
    done = checkout.setup()
    assert done.returncode == 0, done.stderr
    assert checkout.stamp.exists() and not half.exists()


def test_an_interrupted_uv_is_installed_again(checkout):
    assert checkout.setup().returncode == 0
    checkout.stamp.unlink()
    (checkout.folder / ".venv/bin/uv").write_text("half")
    done = checkout.setup()
    assert done.returncode == 0, done.stderr
    assert len(checkout.calls("venv")) == 2


def test_the_second_of_two_waits_and_finds_all_done(checkout):
    with checkout.installing() as (first, go_on):
        with checkout.starting() as second:
            assert "Another make setup is running here" in second.stdout.readline()
            go_on()
            assert finish(first, PATIENCE)[1] == finish(second, PATIENCE)[1] == ""
            assert (first.returncode, second.returncode) == (0, 0)
    assert len(checkout.installs()) == 1


def test_a_changed_pin_keeps_the_installed_torch_and_asks_no_index(checkout):
    assert checkout.setup().returncode == 0
    probes = checkout.calls("pip compile")
    checkout.outdate()
    checkout.has("refuses", "torch")
    done = checkout.setup()
    assert done.returncode == 0, done.stderr
    assert len(checkout.installs()) == 2 and checkout.calls("pip compile") == probes
    assert checkout.calls("venv") == ["venv"]


def test_python_without_venv_is_named(checkout):
    checkout.has("no-venv")
    done = checkout.setup()
    assert done.returncode != 0 and not checkout.installs()
    assert "apt-get install python3.11-venv" in done.stderr


def test_an_environment_that_is_set_up_is_left_alone(checkout):
    assert checkout.setup().returncode == 0
    before = checkout.calls()
    done = checkout.setup()
    assert done.returncode == 0 and checkout.calls() == before


def test_the_sizes_said_before_are_those_of_the_readme(checkout):
    """Measured on 2026-11-29 and 30; when you measure again, change all of them."""
    checkout.has("refuses", "torch")
    said = [
        checkout.setup().stderr,
        run(["make", "help"], cwd=ROOT).stdout,
        (ROOT / "README.md").read_text(),
    ]
    for text in said:
        assert "7.0 GB" in text and "3.2 GB" in text
