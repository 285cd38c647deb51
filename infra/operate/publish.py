"""The images of a cluster's nodes, which must be in the registry before machines are created."""

from __future__ import annotations

import os
import subprocess

from infra.config.settings import Head, Image, Pool
from infra.facts import ROOT
from infra.operate.stack import Stack, create
from infra.operate.tools import CommandError, OperateError, az, pulumi, say, show

IMAGES = ROOT / "build" / "images"
RECIPES = ROOT / "images"


def images(stack: Stack) -> dict[str, Image]:
    """Flavour -> the image that nodes of that kind run."""
    nodes: list[Head | Pool] = [stack.cluster.head, *stack.cluster.pools]
    return {"gpu" if node.size.gpus else "cpu": node.image for node in nodes}


def to_build(stack: Stack) -> list[str]:
    """Flavours that are named by tag: `up` builds them from this commit."""
    return sorted(flavour for flavour, image in images(stack).items() if not image.by_digest)


def lacking(flavours: list[str]) -> list[tuple[str, str]]:
    """What is missing for building and pushing these flavours, each with its fix."""
    if not flavours:
        return []
    found = []
    docker = os.environ.get("DOCKER") or "docker"
    if _complaint(docker, "version") is not None:
        found.append(
            (
                f"no Docker Engine answers `{docker} version`",
                "start it, set DOCKER, or name images by digest",
            )
        )
    if "cpu" in flavours and (said := _complaint(str(RECIPES / "wheel.sh"))) is not None:
        what, _, fix = said.partition(": ")
        found.append((what, fix))
    if _complaint(str(RECIPES / "clean.sh")) is not None:
        found.append(
            (
                "there are uncommitted changes, and images are named by commit",
                "git commit, or git stash",
            )
        )
    return found


def _complaint(*command: str) -> str | None:
    """None if a command works, else its error output."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return done.stderr.strip() if done.returncode else None


def publish_images(stack: Stack) -> bool:
    """Make sure that the images are in the registry; return whether a setting was changed.

    An image named by digest must be there. Others (in development) are built from this commit,
    pushed, and from then on named by digest in `Pulumi.STACK.yaml`.
    """
    registry = str(stack.foundation_outputs.get("registry_login_server", ""))
    if not registry:
        raise OperateError("the foundation has no registry: make up created none. Check its output")
    for flavour, image in sorted(images(stack).items()):
        if not image.by_digest:
            continue
        try:
            az(
                "acr",
                "repository",
                "show",
                "--name",
                registry.split(".")[0],
                "--image",
                f"{image.repository}{image.version}",
            )
        except CommandError as error:
            raise OperateError(
                f"{image.repository}{image.version} is not in {registry}. Push it with "
                f"make images image-push FLAVOURS={flavour} REGISTRY={registry}, and put the "
                f"digest that it prints into {flavour}Image in Pulumi.{stack.name}.yaml"
            ) from error
    flavours = to_build(stack)
    if not flavours:
        return False
    # All images before any setting: if one fails, the settings stay as they were.
    named = f"FLAVOURS={' '.join(flavours)}"
    show(["make", "images", named])
    show(["make", "image-push", named, f"REGISTRY={registry}"])
    create(stack.name, ROOT)
    for flavour in flavours:
        reference = (IMAGES / f"{flavour}.ref").read_text().strip().removeprefix(f"{registry}/")
        pulumi("config", "set", f"{flavour}Image", reference, "--stack", stack.name)
        say(f"Pulumi.{stack.name}.yaml: {flavour}Image is {reference}")
    return True
