"""`make up`: from settings to a cluster whose nodes have joined."""

from __future__ import annotations

import shutil
from datetime import datetime

from infra.config.settings import Head, Image, Pool
from infra.facts import ROOT
from infra.operate.access import allow_me_tokens
from infra.operate.ask import confirm
from infra.operate.doctor import examine, report
from infra.operate.stack import FOUNDATION, Stack, deploy, machines, read_stack
from infra.operate.tools import CommandError, OperateError, az, pulumi, say, show
from infra.operate.wait import wait_for_nodes
from infra.plan.plan import Plan, make
from infra.plan.prices import load

IMAGES = ROOT / "build" / "images"


def check(stack: Stack, now: datetime, *, exists: bool) -> Plan:
    """The plan and the doctor; `OperateError` where either says that it cannot be."""
    plan = make(stack.given, now, load())
    broken = [f"policy {v.rule}: {v.resource}: {v.message}" for v in plan.violations]
    if broken:
        raise OperateError("\n".join(broken))
    findings = examine(stack, exists=exists)
    for line in report([f for f in findings if f.level != "ok"]):
        say(line)
    problems = sum(finding.level == "problem" for finding in findings)
    if problems:
        raise OperateError(f"{problems} problems; nothing was made. make doctor shows everything")
    return plan


def up(name: str, now: datetime, *, yes: bool, minutes: float) -> None:
    """Check, ask, build the foundation, the images and the cluster, and wait for its nodes."""
    stack = read_stack(name, now)
    plan = check(stack, now, exists=bool(_existing(stack)))
    low, high = plan.bill.hourly()
    confirm(
        f"{stack.label} in {stack.cluster.location} costs about ${low:.2f} an hour, ${high:.2f} "
        "with all workers (make plan says for what). Build it?",
        yes=yes,
    )
    if stack.foundation_name == stack.name or not stack.foundation_outputs:
        deploy(stack.foundation_name, FOUNDATION)
        stack.forget_outputs()
    else:
        say(f"the foundation {stack.foundation_name} is used as it is; make foundation "
            f"STACK={stack.foundation_name} updates it")  # fmt: skip
    allow_me_tokens(stack)
    if publish_images(stack):
        stack = read_stack(name, now)
    deploy(stack.name, ROOT)
    stack.forget_outputs()
    start_stopped(stack)
    wait_for_nodes(stack, minutes)
    say(
        f"ready. Next:\n"
        f"  make tunnel STACK={name}      in a terminal of its own\n"
        f"  savanna submit pong --workers {stack.cluster.min_workers} --wait\n"
        f"  make status STACK={name}\n"
        f"  make down STACK={name}        keeps results and images\n"
        f"Results are in {stack.outputs.get('storage_uri')}"
    )


def start_stopped(stack: Stack) -> None:
    """Start machines that have stopped themselves: Pulumi sees no difference in those."""
    stopped = [one for one in machines(stack) if one.get("powerState") == "VM deallocated"]
    if stopped:
        say(f"starting {', '.join(one['name'] for one in stopped)}")
        az("vm", "start", "--ids", *(one["id"] for one in stopped))


def _existing(stack: Stack) -> bool:
    # Before the tools are known to be there; the doctor reports what is missing.
    return bool(shutil.which("pulumi") and shutil.which("az") and _outputs(stack))


def _outputs(stack: Stack) -> bool:
    try:
        return bool(stack.outputs)
    except CommandError:
        return False


def images(stack: Stack) -> dict[str, Image]:
    """Flavour to the image that nodes of that kind run."""
    nodes: list[Head | Pool] = [stack.cluster.head, *stack.cluster.pools]
    return {"gpu" if node.size.gpus else "cpu": node.image for node in nodes}


def publish_images(stack: Stack) -> bool:
    """See that the images are in the registry; whether a setting was changed.

    One that is named by digest must be there. Others (in development) are built of this commit,
    pushed, and named by their digest in `Pulumi.STACK.yaml`.
    """
    registry = str(stack.foundation_outputs.get("registry_login_server", ""))
    if not registry:
        raise OperateError("the foundation has no registry; make up made none. Look at its output")
    wanting = []
    for flavour, image in sorted(images(stack).items()):
        if not image.by_digest:
            wanting.append(flavour)
            continue
        try:
            az("acr", "repository", "show", "--name", registry.split(".")[0],
               "--image", f"{image.repository}{image.version}")  # fmt: skip
        except CommandError as error:
            raise OperateError(
                f"{image.repository}{image.version} is not in {registry}. Push it with "
                f"make images image-push FLAVOURS={flavour} REGISTRY={registry}, and put the "
                f"digest that it prints into {flavour}Image of Pulumi.{stack.name}.yaml"
            ) from error
    for flavour in wanting:
        show(["make", "images", "image-push", f"FLAVOURS={flavour}", f"REGISTRY={registry}"])
        reference = (IMAGES / f"{flavour}.ref").read_text().strip().removeprefix(f"{registry}/")
        pulumi("config", "set", f"{flavour}Image", reference, "--stack", stack.name)
        say(f"Pulumi.{stack.name}.yaml: {flavour}Image is {reference}")
    return bool(wanting)
