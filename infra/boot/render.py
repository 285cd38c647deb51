"""The user data of a node: a cloud-config of files and systemd units, without secrets."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import yaml

from infra.boot.node import NodeBoot
from infra.facts import facts

HERE = Path(__file__).parent
HOME = "/usr/local/lib/savanna"
LIMIT = 65536  # bytes of base64: Azure's limit for custom data
UNITS = ("savanna-node.service", "savanna-events.service")
HEAD_UNITS = ("savanna-limits.service",)


def cloud_init(node: NodeBoot) -> str:
    """The cloud-config of `node`; `ValueError` has one line per mistake.

    cloud-init runs it on the machine's first boot; the units that it enables run on every boot.
    """
    units = UNITS + (HEAD_UNITS if node.role == "head" else ())
    settings = {**facts(), **node.settings()}
    files = [_file("/etc/savanna/node.env", "".join(f"{k}={v}\n" for k, v in settings.items()))]
    files += [_file(f"/etc/systemd/system/{unit}", _read(f"files/{unit}")) for unit in units]
    files += [
        _file("/etc/apt/apt.conf.d/99-savanna", _read("files/no-upgrades.conf")),
        _file(f"{HOME}/node.sh", _read("files/node.sh"), "0755"),
    ]
    for module in sorted((HERE / "agent").glob("*.py")):
        files.append(_file(f"{HOME}/agent/{module.name}", _read(f"agent/{module.name}")))
    config = {
        "write_files": files,
        "runcmd": [
            ["systemctl", "daemon-reload"],
            # Without waiting: cloud-init ends, the units continue.
            ["systemctl", "enable", "--now", "--no-block", *units],
        ],
    }
    text = "#cloud-config\n" + yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=1000)
    size = len(base64.b64encode(text.encode()))
    if size > LIMIT:
        raise ValueError(f"the user data is {size} bytes of base64, Azure's limit is {LIMIT}")
    return text


def _read(name: str) -> str:
    return (HERE / name).read_text()


def _file(path: str, content: str, permissions: str = "0644") -> dict[str, Any]:
    return {"path": path, "permissions": permissions, "content": content}


class _Dumper(yaml.SafeDumper):
    """Keeps multi-line text readable."""


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
