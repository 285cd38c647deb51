"""Asks a running head which nodes have joined, through its dashboard's port."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass


@dataclass(frozen=True)
class RayNode:
    """A node as Ray sees it."""

    ip: str
    alive: bool
    head: bool
    cpus: float
    started: float  # seconds since 1970


class Unauthorized(Exception):
    """The head refused the token."""


def list_nodes(port: int, token: str) -> list[RayNode]:
    """Every node that the head knows; empty if it does not answer. Raises `Unauthorized`."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v0/nodes?detail=1",
        headers={"Authorization": f"Bearer {token}"},
    )
    # Never through a proxy, which would see the token.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=10) as answer:
            listed = json.load(answer)["data"]["result"]["result"]
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise Unauthorized(str(error)) from error
        return []
    except (OSError, ValueError, KeyError):
        return []
    return [
        RayNode(
            ip=node["node_ip"],
            alive=node["state"] == "ALIVE",
            head=bool(node["is_head_node"]),
            cpus=float(node.get("resources_total", {}).get("CPU", 0)),
            started=float(node.get("start_time_ms") or 0) / 1000,
        )
        for node in listed
    ]
