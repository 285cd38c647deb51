"""Settings of a local cluster: sizes are chosen for the machine and checked first."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

from infra.facts import number

GIB = 2**30
LEAST_HEAD_MEMORY = 3 * GIB
LEAST_WORKER_MEMORY = 3 * GIB // 2


class LocalError(Exception):
    """Something is wrong with the local cluster; the message says what to do."""

    exit_code = 1


class LocalUsageError(LocalError):
    """The settings are wrong; nothing was started."""

    exit_code = 2


@dataclass(frozen=True)
class Node:
    """The size of one container."""

    cpus: int  # that Ray may use
    memory: int  # bytes, a hard limit; shared memory counts

    @property
    def shm(self) -> int:
        """Bytes of shared memory, for the object store and some reserve."""
        return self.memory * number("SHM_PERCENT") // 100


@dataclass(frozen=True)
class Settings:
    """Everything that must match for two clusters with one name to be the same."""

    name: str
    image: str
    image_id: str
    head: Node
    worker: Node
    port: int  # of the dashboard and the Jobs API on 127.0.0.1
    environment: tuple[tuple[str, str], ...] = ()

    def to_label(self) -> str:
        """As text, kept as a label of every container."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_label(cls, text: str) -> Settings:
        content = json.loads(text)
        head, worker = Node(**content.pop("head")), Node(**content.pop("worker"))
        pairs = tuple((str(k), str(v)) for k, v in content.pop("environment"))
        return cls(head=head, worker=worker, environment=pairs, **content)

    def differences(self, other: Settings) -> list[str]:
        """How `other` differs, one line per setting."""
        mine, theirs = asdict(self), asdict(other)
        names = [name for name in mine if mine[name] != theirs[name] and name != "image"]
        return [f"{name}: {mine[name]}, not {theirs[name]}" for name in names]


def check_name(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,40}", name):
        raise LocalUsageError(
            f"name {name!r}: use 2 to 41 lower-case letters, digits and hyphens, such as savanna"
        )
    return name


def parse_memory(text: str) -> int:
    """The bytes in text like `512m` or `4g`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([mg])i?b?", text.strip().lower())
    if not match:
        raise LocalUsageError(f"memory {text!r}: write it as 512m or 4g")
    return int(float(match[1]) * {"m": 2**20, "g": GIB}[match[2]])


def choose_sizes(
    workers: int,
    host_cpus: int,
    host_memory: int,
    head_cpus: int | None = None,
    worker_cpus: int | None = None,
    head_memory: int | None = None,
    worker_memory: int | None = None,
) -> tuple[Node, Node]:
    """Sizes of the head and of each of `workers` workers; `None` means to choose one.

    Of four fifths of the host's memory (bytes), the head gets two shares, at most 6 GiB, and each
    worker one, at most 3 GiB. CPUs are divided evenly, with at least two for the head (its learner
    and an env runner) and one per worker; with few cores, they are promised more than once.
    """
    if workers < 0:
        raise LocalUsageError(f"workers {workers}: must be at least 0")
    share = int(host_memory * 0.8 / (workers + 2))
    head = Node(
        cpus=max(2, host_cpus // (workers + 1)) if head_cpus is None else head_cpus,
        memory=min(6 * GIB, 2 * share) if head_memory is None else head_memory,
    )
    worker = Node(
        cpus=max(1, host_cpus // (workers + 1)) if worker_cpus is None else worker_cpus,
        memory=min(3 * GIB, share) if worker_memory is None else worker_memory,
    )
    problems = []
    for what, node, least in (
        ("head", head, LEAST_HEAD_MEMORY),
        ("worker", worker, LEAST_WORKER_MEMORY),
    ):
        if node.cpus < 1:
            problems.append(f"{what} CPUs {node.cpus}: must be at least 1")
        if node.memory < least:
            problems.append(
                f"{what} memory {node.memory / GIB:.1f} GiB: at least {least / GIB:.1f} GiB is "
                f"needed. Use fewer workers, or set --{what}-memory."
            )
    if problems:
        raise LocalUsageError("\n".join(problems))
    check_fits(head, worker, workers, host_memory)
    return head, worker


def check_fits(head: Node, worker: Node, workers: int, host_memory: int) -> None:
    """`LocalUsageError` if the containers may use more memory (bytes) than there is."""
    needed = head.memory + workers * worker.memory
    if needed > host_memory:
        raise LocalUsageError(
            f"together the containers may use {needed / GIB:.1f} GiB, but this machine has "
            f"{host_memory / GIB:.1f} GiB. Use fewer workers, or less memory for each."
        )
