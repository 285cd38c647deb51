"""Gives the head another size or a larger disk, which Azure does only while it is stopped."""

from __future__ import annotations

from infra.operate.stack import Stack, machines
from infra.operate.tools import az, say

DISK = "storageProfile.osDisk.diskSizeGB"


def resize_head(stack: Stack, inputs: set[str]) -> None:
    """Deallocate the head, change these inputs of it, and start it.

    Pulumi then finds what the settings say. Through Pulumi, Azure would refuse a size that the
    present hardware does not have, and a disk of a stopped machine.
    """
    head = next((m for m in machines(stack) if m["name"] == stack.known.get("head_vm")), None)
    if head is None:
        return
    say("changing the head's size; it stops for some minutes")
    where = ("--resource-group", stack.group, "--name", str(head["name"]))
    az("vm", "deallocate", *where)
    if inputs - {DISK}:
        az("vm", "resize", *where, "--size", stack.cluster.head.size.name)
    if DISK in inputs:
        disk = head["storageProfile"]["osDisk"]["managedDisk"]["id"]
        az("disk", "update", "--ids", disk, "--size-gb", str(stack.cluster.head.disk_gib))
    az("vm", "start", *where)
