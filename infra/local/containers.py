"""The containers, volumes and network of one cluster, through the Docker Engine."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
from collections.abc import Iterator
from datetime import datetime

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.models.containers import Container

from infra.facts import facts, number
from infra.local.settings import LocalError, LocalUsageError, Node, Settings

CLUSTER, ROLE, SPEC = "savanna.cluster", "savanna.role", "savanna.settings"


def connect() -> docker.DockerClient:
    """The Docker Engine; `LocalError` if none answers."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        where = os.environ.get("DOCKER_HOST") or "/var/run/docker.sock"
        if "Permission denied" in str(error):
            raise LocalError(
                f"you may not use the Docker Engine at {where}: join the group docker, or run this "
                "as root"
            ) from error
        raise LocalError(
            f"no Docker Engine answers at {where}. Start it, or install it (Debian: docker.io)"
        ) from error
    return client


class Containers:
    """Everything that Docker knows about the cluster `name`; no state is kept elsewhere."""

    def __init__(self, client: docker.DockerClient, name: str) -> None:
        self.client, self.name = client, name
        self._labels = {CLUSTER: name}

    def settings(self) -> Settings | None:
        """The settings that the cluster was created with; `None` without a cluster."""
        labels = [c.labels.get(SPEC) for c in self.all()]
        return Settings.from_label(labels[0]) if labels and labels[0] else None

    def all(self) -> list[Container]:
        """Running or not, the head first, then workers by number."""
        found = self.client.containers.list(
            all=True, filters={"label": f"{CLUSTER}={self.name}"}, ignore_removed=True
        )
        return sorted(found, key=lambda c: (c.labels[ROLE] != "head", number_of(c)))

    def head(self) -> Container | None:
        return next((c for c in self.all() if c.labels[ROLE] == "head"), None)

    def workers(self) -> list[Container]:
        return [c for c in self.all() if c.labels[ROLE] == "worker"]

    def make_network(self) -> None:
        if not self.client.networks.list(filters={"label": f"{CLUSTER}={self.name}"}):
            self.client.networks.create(self.name, driver="bridge", labels=self._labels)

    def create(self, role: str, number: int, settings: Settings) -> Container:
        """A container of the right size, not started."""
        head = role == "head"
        node: Node = settings.head if head else settings.worker
        name = f"{self.name}-head" if head else f"{self.name}-worker-{number}"
        environment = {**dict(settings.environment), "NUM_CPUS": str(node.cpus)}
        if head:
            # Reachable only in the cluster's network, with the token; Docker publishes it below.
            environment["DASHBOARD_HOST"] = "0.0.0.0"
        else:
            environment["HEAD_ADDRESS"] = f"{self.name}-head"
        volumes = {self._volume(f"{name}-logs"): {"bind": facts()["LOGS_PATH"], "mode": "rw"}}
        if head:
            results = self._volume(f"{self.name}-results")
            volumes[results] = {"bind": facts()["RESULTS_PATH"], "mode": "rw"}
        try:
            return self.client.containers.create(
                settings.image_id,
                role,
                name=name,
                hostname=name,
                labels={**self._labels, ROLE: role, SPEC: settings.to_label()},
                environment=environment,
                network=self.name,
                ports={f"{facts()['DASHBOARD_PORT']}/tcp": ("127.0.0.1", settings.port)}
                if head
                else None,
                volumes=volumes,
                shm_size=node.shm,
                mem_limit=node.memory,
                memswap_limit=node.memory,
                nano_cpus=min(node.cpus, self.host_cpus) * 10**9,
                cap_drop=["ALL"],
                security_opt=["no-new-privileges"],
                restart_policy={"Name": "on-failure", "MaximumRetryCount": 5},
                detach=True,
            )
        except APIError as error:
            raise LocalError(f"could not create {name}: {error.explanation or error}") from error

    def start(self, container: Container, token: str) -> None:
        """Start it with the token inside; remove it again if it cannot start."""
        try:
            container.put_archive("/", _token_archive(token))
            container.start()
        except APIError as error:
            reason = str(error.explanation or error)
            if "address already in use" in reason or "port is already allocated" in reason:
                reason += '. Choose another port: make cluster-up ARGS="--port 8266"'
            if container.status == "created":
                container.remove(force=True, v=True)
            raise LocalError(f"could not start {container.name}: {reason}") from error

    def stop(self, container: Container) -> None:
        """Let it drain, then remove it."""
        container.stop(timeout=number("STOP_TIMEOUT"))
        container.remove(force=True, v=True)
        self._remove_volume(f"{container.name}-logs")

    def remove_all(self) -> None:
        """Remove everything; the head last, so that workers can sign off."""
        for container in reversed(self.all()):
            container.remove(force=True, v=True)
        for volume in self.client.volumes.list(filters={"label": f"{CLUSTER}={self.name}"}):
            volume.remove(force=True)
        for network in self.client.networks.list(filters={"label": f"{CLUSTER}={self.name}"}):
            network.remove()

    def left(self) -> list[str]:
        """What still exists, as `kind name`."""
        label = {"filters": {"label": f"{CLUSTER}={self.name}"}}
        return (
            [f"container {c.name}" for c in self.all()]
            + [f"volume {v.name}" for v in self.client.volumes.list(**label)]
            + [f"network {n.name}" for n in self.client.networks.list(**label)]
        )

    @property
    def host_cpus(self) -> int:
        return int(self.client.info()["NCPU"])

    @property
    def host_memory(self) -> int:
        """Bytes."""
        return int(self.client.info()["MemTotal"])

    def image_id(self, image: str) -> str:
        try:
            return str(self.client.images.get(image).id)
        except ImageNotFound as error:
            raise LocalUsageError(
                f"there is no image {image!r} here: build it with `make images FLAVOURS=cpu`"
            ) from error

    def _volume(self, name: str) -> str:
        self.client.volumes.create(name, labels=self._labels)
        return name

    def _remove_volume(self, name: str) -> None:
        with contextlib.suppress(NotFound):
            self.client.volumes.get(name).remove(force=True)


def started_at(container: Container) -> float:
    """Seconds since 1970; 0 for one that never ran."""
    text = str(container.attrs["State"]["StartedAt"])
    moment = datetime.fromisoformat(text[:19] + "+00:00")
    return moment.timestamp() if moment.year > 1970 else 0.0


def number_of(container: Container) -> int:
    """A worker's number, from 1; 0 for the head."""
    tail = str(container.name).rpartition("-")[2]
    return int(tail) if tail.isdigit() else 0


def address_of(container: Container) -> str:
    """Its IP address in the cluster's network; empty while it is not running."""
    networks = container.attrs["NetworkSettings"]["Networks"]
    return next((str(n["IPAddress"]) for n in networks.values()), "")


def last_lines(container: Container, count: int = 12) -> str:
    return str(container.logs(tail=count).decode(errors="replace")).rstrip()


def read_file(container: Container, path: str) -> str:
    """A small text file inside a container, running or not; `NotFound` if there is none."""
    chunks, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        member = archive.extractfile(archive.next())  # type: ignore[arg-type]
        return member.read().decode() if member else ""


def archive_of(container: Container, path: str) -> Iterator[bytes]:
    """A tar of a folder inside a container, running or not."""
    chunks, _ = container.get_archive(path)
    return iter(chunks)


def _token_archive(token: str) -> bytes:
    """A tar that puts the token where the entry script looks, readable by its user only."""
    data = token.encode()
    entry = tarfile.TarInfo(facts()["TOKEN_PATH"].lstrip("/"))
    entry.size, entry.mode = len(data), 0o400
    entry.uid = entry.gid = number("CONTAINER_UID")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
