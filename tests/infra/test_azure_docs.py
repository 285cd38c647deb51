"""Commands, settings and files in the guides exist."""

import re

import pytest

from infra.config import project
from infra.facts import ROOT

GUIDES = ("README.md", "docs/azure.md", "docs/first-deployment.md")
TARGETS = set(re.findall(r"^([a-z0-9 -]+):", (ROOT / "Makefile").read_text(), re.M))
NAMES = {name for line in TARGETS for name in line.split()}


@pytest.mark.parametrize("guide", GUIDES)
def test_every_make_target_that_is_named_exists(guide):
    text = (ROOT / guide).read_text()
    said = re.findall(r"(?:`|^    )make ([a-z0-9-]+)", text, re.M)
    assert said and set(said) <= NAMES


@pytest.mark.parametrize("guide", GUIDES[1:])
def test_every_setting_that_is_named_exists(guide):
    known = project.load(project.CLUSTER).keys | project.load(project.FOUNDATION).keys
    text = (ROOT / guide).read_text()
    said = re.findall(r"`([a-z]+[A-Z][A-Za-z]+)(?:: [^`]*)?`", text)
    assert set(said) <= known.keys()


@pytest.mark.parametrize("guide", GUIDES)
def test_every_file_that_is_linked_or_named_exists(guide):
    path = ROOT / guide
    text = path.read_text()
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (path.parent / link).exists(), link
    for name in re.findall(r"`((?:infra|docs)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
