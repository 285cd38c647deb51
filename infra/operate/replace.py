"""Before `up`: whether it would replace running machines, which ends what runs on them."""

from __future__ import annotations

import json

from infra.facts import ROOT
from infra.operate.ask import confirm
from infra.operate.leave import head_runs, take_leave
from infra.operate.stack import Stack
from infra.operate.state import make_sure, read_record
from infra.operate.tools import pulumi

REPLACES = {"replace", "create-replacement", "delete-replaced"}
"""Operations in a preview's steps that belong to a replacement."""
MACHINES = {"VirtualMachine", "VirtualMachineScaleSet"}


def replaced(stack: Stack) -> list[str]:
    """Pulumi's names of the head and the scale sets that `up` would replace."""
    text = pulumi("preview", "--json", "--refresh", "--stack", stack.name)
    found = set()
    for step in json.loads(text).get("steps") or []:
        # urn:pulumi:STACK::PROJECT::PARENTS$azure-native:compute:VirtualMachine::NAME
        _, _, kinds, name = step["urn"].split("::", 3)
        if step["op"] in REPLACES and kinds.rsplit(":", 1)[-1] in MACHINES:
            found.add(name)
    return sorted(found)


def leave_before(stack: Stack, *, yes: bool) -> None:
    """If `up` replaces machines of a running cluster: say so, ask, let runs end cleanly."""
    if not stack.known or not head_runs(stack):
        return
    names = replaced(stack)
    if not names:
        return
    confirm(
        f"The settings or boot files have changed: this replaces {', '.join(names)}. Running jobs "
        "end after a last checkpoint, and data that is only on those machines is lost. Replace?",
        yes=yes,
    )
    make_sure(stack.name, ROOT, read_record(stack.name, ROOT), yes=yes)
    take_leave(stack, "make up replaces machines")
