"""Machines of a virtual network as network namespaces, with a security group in front of each.

Each machine is a network namespace on one switch; what runs in it also has its own processes,
/tmp and /dev/shm, and the security group's table as iptables rules. None of this touches the
network of the host, and all of it goes when the processes do.
"""

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import command
from command import ROOT, started
from waiting import PATIENCE, wait_until

# Connects to every port of a list at once and prints what each did: "open", "refused" (nothing
# listens, but it was let through) or "dropped" (no answer within the time).
PROBE = """
import asyncio, json, sys
address, ports, seconds = json.load(sys.stdin)
async def one(port):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), seconds)
    except ConnectionRefusedError:
        return "refused"
    except (TimeoutError, OSError):
        return "dropped"
    writer.close()
    return "open"
async def all():
    found = []
    for start in range(0, len(ports), 4000):
        found += await asyncio.gather(*map(one, ports[start : start + 4000]))
    return found
print(json.dumps(asyncio.run(all())))
"""

# A machine's start: what a container has of its own, then the command.
OWN = """
set -e
here=$PWD
mount --bind "$here" /mnt  # the checkout itself may be below /tmp
mount -t tmpfs tmpfs /tmp
mount -t tmpfs -o size=600m tmpfs /dev/shm
mount -t tmpfs tmpfs /opt
case $here in /tmp/*|/opt/*) mkdir -p "$here"; mount --bind /mnt "$here";; esac
cd "$here"
mkdir /opt/savanna && cp cluster.env /opt/savanna/
mkdir /tmp/home /tmp/ray && printf %s "$TOKEN" > /tmp/token && unset TOKEN
exec "$@"
"""


def available() -> bool:
    """Whether this process may make namespaces and rules in them."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "iptables", "unshare", "nsenter"))):
        return False
    name = f"savanna-probe-{os.getpid()}"
    if run("ip", "netns", "add", name, check=False).returncode:
        return False
    works = run(
        "ip",
        "netns",
        "exec",
        name,
        "iptables",
        "-A",
        "INPUT",
        "-p",
        "tcp",
        "-m",
        "multiport",
        "--dports",
        "1,2:3",
        "-m",
        "conntrack",
        "--ctstate",
        "NEW",
        "-j",
        "DROP",
        check=False,
    )
    run("ip", "netns", "del", name)
    return works.returncode == 0


def run(*arguments: str, check=True, **options) -> subprocess.CompletedProcess:
    return command.run(arguments, check=check, **options)


def clean() -> dict[str, str]:
    """The environment, without variables that point to another cluster."""
    return {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}


class Switch:
    """The virtual network: every machine on it reaches every other."""

    def __init__(self) -> None:
        self.name = f"savanna-switch-{os.getpid()}"
        self.machines: list[Machine] = []
        run("ip", "netns", "add", self.name)
        run("ip", "-n", self.name, "link", "add", "bridge", "type", "bridge")
        run("ip", "-n", self.name, "link", "set", "bridge", "up")

    def machine(self, name: str, address: str, prefix: int) -> "Machine":
        self.machines.append(Machine(self, name, address, prefix))
        return self.machines[-1]

    def close(self) -> None:
        for machine in self.machines:
            machine.close()
        run("ip", "netns", "del", self.name, check=False)


class Machine:
    """One address on the switch."""

    def __init__(self, switch: Switch, name: str, address: str, prefix: int) -> None:
        self.name = f"savanna-{name}-{os.getpid()}"
        self.address = address
        self.stack = ExitStack()
        self.first = ""  # the machine's first process, as the host numbers it
        run("ip", "netns", "add", self.name)
        port = f"to-{name}"
        run(
            "ip",
            "-n",
            switch.name,
            "link",
            "add",
            port,
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            self.name,
        )
        run("ip", "-n", switch.name, "link", "set", port, "master", "bridge", "up")
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        run("ip", "-n", self.name, "address", "add", f"{address}/{prefix}", "dev", "eth0")
        run("ip", "-n", self.name, "link", "set", "eth0", "up")
        # Ray finds its own address from the default route.
        run("ip", "-n", self.name, "route", "add", "default", "dev", "eth0")

    def inside(self, *command: str, **options) -> subprocess.CompletedProcess:
        return run("ip", "netns", "exec", self.name, *command, **options)

    def protect(self, rules) -> None:
        """Put a security group's inbound rules in front: stateful, loopback unaffected."""
        self.inside("iptables", "-F", "INPUT")
        self.inside("iptables", "-A", "INPUT", "-i", "lo", "-j", "ACCEPT")
        self.inside(
            "iptables",
            "-A",
            "INPUT",
            "-m",
            "conntrack",
            "--ctstate",
            "ESTABLISHED,RELATED",
            "-j",
            "ACCEPT",
        )
        for rule in sorted(rules, key=lambda rule: rule.priority):
            match = [] if rule.protocol == "*" else ["-p", rule.protocol.lower()]
            match += [] if rule.source == "*" else ["-s", rule.source]
            match += [] if rule.destination == "*" else ["-d", rule.destination]
            if rule.destination_ports != ("*",):
                ports = ",".join(port.replace("-", ":") for port in rule.destination_ports)
                match += ["-m", "multiport", "--dports", ports]
            target = "ACCEPT" if rule.access == "Allow" else "DROP"
            self.inside("iptables", "-A", "INPUT", *match, "-j", target)

    def denied(self) -> int:
        """Packets that the last rule, the Deny, has stopped so far."""
        listed = self.inside("iptables", "-L", "INPUT", "-v", "-x", "-n").stdout.splitlines()
        assert " DROP " in listed[-1]
        return int(listed[-1].split()[0])

    def probe(self, address: str, ports: list[int], seconds: float = 2.0) -> dict[int, str]:
        """The result of connecting to each port of `address`: open, refused or dropped."""
        given = json.dumps([address, ports, seconds])
        result = self.inside(
            "prlimit", "--nofile=8192:8192", sys.executable, "-c", PROBE, input=given
        )
        return dict(zip(ports, json.loads(result.stdout)))

    def listening(self) -> set[tuple[str, int, str]]:
        """Address, port and process of every listening TCP socket."""
        found = set()
        for line in self.inside("ss", "-ltnpH").stdout.splitlines():
            fields = line.split(maxsplit=5)
            address, _, port = fields[3].rpartition(":")
            process = fields[5].split('"')[1] if '"' in line else ""
            found.add((address, int(port), process))
        return found

    def start(self, log: Path, *command: str, **environment: str) -> None:
        """Run a command as this machine's first process, in the repository."""
        with log.open("w") as file:
            process = self.stack.enter_context(
                started(
                    [
                        "ip",
                        "netns",
                        "exec",
                        self.name,
                        "unshare",
                        "--mount",
                        "--pid",
                        "--fork",
                        "--kill-child",
                        "--mount-proc",
                        "bash",
                        "-c",
                        OWN,
                        "machine",
                        *command,
                    ],
                    cwd=ROOT,
                    stdout=file,
                    stderr=file,
                    env=clean() | environment,
                )
            )
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

        def first() -> str | None:
            found = children.read_text().split()
            return found[0] if found and Path(f"/proc/{found[0]}/root/tmp/token").exists() else None

        self.first = wait_until(first, f"{self.name} starts", process=process, said=log.read_text)

    def execute(self, *command: str, **environment: str) -> subprocess.CompletedProcess:
        """Run a command beside what `start` runs, with its processes and files."""
        return run(
            "nsenter",
            "--target",
            self.first,
            "--mount",
            "--pid",
            "--net",
            "bash",
            "-c",
            'cd /tmp/home && exec "$@"',
            "machine",
            *command,
            env=clean() | environment,
            check=False,
            timeout=PATIENCE,
        )

    def close(self) -> None:
        self.stack.close()  # the machine's other processes end with its first one
        run("ip", "netns", "del", self.name, check=False)
