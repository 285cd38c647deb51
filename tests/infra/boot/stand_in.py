"""Stand-ins for virtual machines, and a registry with our image: containers on one network."""

import hashlib
import http.client
import json
import os
import re
import subprocess
import tarfile
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from command import run, started
from cryptography.hazmat.primitives import serialization
from docker_engine import base_image, docker, docker_command
from waiting import PATIENCE, wait_until

FOLDER = Path(__file__).parent / "machine"
NAME = "savanna-boot-test"
SUBNET = "172.29.77"
MACHINE_SECONDS = 400  # that the image of a kind of machine may take to build
# Those that Docker's client can name; with all of them it amounts to --privileged.
UNKNOWN_TO_DOCKER = {"CHECKPOINT_RESTORE", "BPF", "PERFMON"}
# In the order of their bits.
CAPABILITIES = re.findall(
    r"\w+",
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE",
)


def build(target):
    """The image of a kind of machine (see the Dockerfile); its name."""
    name = f"savanna-test-{target}"
    run(
        [
            docker_command(),
            "build",
            "-q",
            "--target",
            target,
            "-t",
            name,
            "--build-arg",
            f"BASE_IMAGE={base_image()}",
            FOLDER,
        ],
        env={**os.environ, "DOCKER_BUILDKIT": "1"},
        check=True,
        timeout=MACHINE_SECONDS,
    )
    return name


def host_capabilities():
    """The capabilities that this host can grant, as `docker run --cap-add` expects them."""
    status = Path("/proc/self/status").read_text()
    bits = int(re.search(r"CapBnd:\s*(\w+)", status).group(1), 16)
    have = [name for bit, name in enumerate(CAPABILITIES) if bits >> bit & 1]
    return [name for name in have if name not in UNKNOWN_TO_DOCKER]


@contextmanager
def cleaned_up():
    """No machine or network of ours before and after."""
    clean_up()
    try:
        yield
    finally:
        clean_up()


def clean_up():
    found = docker("ps", "-aq", "--filter", f"label={NAME}").stdout.split()
    if found:
        docker("rm", "-f", "-v", *found)
    docker("network", "rm", NAME, check=False)


def make_network():
    """A network of our own; its gateway is this host, where the stub of Azure listens."""
    docker("network", "create", "--subnet", f"{SUBNET}.0/24", "--label", NAME, NAME)
    return f"{SUBNET}.1"


class Machine:
    """A booted Debian with cloud-init's user data, at a fixed address."""

    def __init__(self, role, image, number, user_data, registry, folder):
        self.name, self.address = f"{NAME}-{role}", f"{SUBNET}.{number}"
        seed = folder / role
        seed.mkdir()
        (seed / "user-data").write_text(user_data)
        (seed / "meta-data").write_text(f"instance-id: {role}\nlocal-hostname: {role}\n")
        daemon = seed / "daemon.json"
        daemon.write_text(json.dumps({"insecure-registries": [registry]}))
        docker(
            "run",
            "-d",
            "--name",
            self.name,
            "--label",
            NAME,
            "--hostname",
            role,
            "--network",
            NAME,
            "--ip",
            self.address,
            *(f"--cap-add={name}" for name in host_capabilities()),
            "--security-opt",
            "seccomp=unconfined",
            "--security-opt",
            "systempaths=unconfined",
            "--security-opt",
            "apparmor=unconfined",
            "--device-cgroup-rule",
            "a *:* rwm",
            "--cgroupns=host",
            "--tmpfs",
            "/run",
            "--tmpfs",
            "/run/lock",
            "-v",
            "/sys/fs/cgroup:/sys/fs/cgroup:rw",
            "-v",
            f"{seed}:/var/lib/cloud/seed/nocloud:ro",
            "-v",
            f"{daemon}:/etc/docker/daemon.json:ro",
            image,
        )

    def run(self, *command, check=True, timeout=120):
        """A command on the machine; its output."""
        done = docker("exec", self.name, *command, check=False, timeout=timeout, errors="replace")
        if check and done.returncode != 0:
            pytest.fail(f"{self.name}: {' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def inside(self, *command, check=True):
        """A command in the machine's own container; its output."""
        return self.run("docker", "exec", "savanna", *command, check=check)

    def journal(self):
        """The log of the machine's services and of the kernel since its boot."""
        return self.run("journalctl", "--no-pager", "-o", "cat", check=False)

    def said(self, unit="savanna-*"):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, check=False)

    def power_off(self):
        """As Azure does with a machine that it deallocates."""
        docker("rm", "-f", "-v", self.name)


def wait_for(what, condition, *machines):
    """The first true value of `condition`; if there is none, fail with the machines' logs."""

    def said():
        return "\n".join(f"--- {m.name}\n{m.said()[-3000:]}" for m in machines)

    return wait_until(condition, what, said=said, every=1)


class Registry:
    """Debian's container registry with our image; it trusts the stub's tokens."""

    def __init__(self, azure, folder):
        self.name, self.azure = f"{SUBNET}.2:5000", azure
        azure.service = self.name
        pem = azure.certificate.public_bytes(serialization.Encoding.PEM)
        (folder / "trusted.pem").write_bytes(pem)
        config = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": "/var/lib/docker-registry"}},
            "http": {"addr": ":5000"},
            "auth": {
                "token": {
                    "realm": f"{azure.url}/oauth2/token",
                    "service": self.name,
                    "issuer": "stub",
                    "rootcertbundle": "/config/trusted.pem",
                }
            },
        }
        (folder / "config.yml").write_text(yaml.safe_dump(config))
        docker(
            "run",
            "-d",
            "--name",
            f"{NAME}-registry",
            "--label",
            NAME,
            "--network",
            NAME,
            "--ip",
            f"{SUBNET}.2",
            "-v",
            f"{folder}:/config:ro",
            build("registry"),
            "docker-registry",
            "serve",
            "/config/config.yml",
        )

    def push(self, image, repository):
        """`image` from the Docker Engine, layers as they are (compressing them costs a minute);
        its reference by digest."""
        token = self.azure.registry_jwt("pusher", [f"repository:{repository}:pull,push"])
        self.auth = {"Authorization": f"Bearer {token}"}
        self.connection = http.client.HTTPConnection(f"{SUBNET}.2", 5000, timeout=120)
        wait_for("the registry answers", self._answers)
        blobs, links = {}, {}
        pipe = {"stdout": subprocess.PIPE, "text": False}
        with (
            started([docker_command(), "save", image], **pipe) as save,
            tarfile.open(fileobj=save.stdout, mode="r|", bufsize=1 << 20) as tar,
        ):
            for member in tar:
                if member.isfile():
                    content = tar.extractfile(member)
                    if member.name == "manifest.json":
                        manifest = json.load(content)[0]
                    elif member.size > 0:
                        blobs[member.name] = self._upload(repository, content, member.size)
                elif member.issym():  # a layer that is there already
                    links[member.name] = os.path.normpath(
                        Path(member.name).parent / member.linkname
                    )
            assert save.wait(PATIENCE) == 0

        def described(name, kind):
            digest, size = blobs[links.get(name, name)]
            return {"mediaType": kind, "size": size, "digest": digest}

        kind = "application/vnd.docker."
        text = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": f"{kind}distribution.manifest.v2+json",
                "config": described(manifest["Config"], f"{kind}container.image.v1+json"),
                "layers": [
                    described(layer, f"{kind}image.rootfs.diff.tar") for layer in manifest["Layers"]
                ],
            }
        ).encode()
        headers = {"Content-Type": f"{kind}distribution.manifest.v2+json"}
        self._call("PUT", f"/v2/{repository}/manifests/test", text, headers)
        return f"{self.name}/{repository}@sha256:{hashlib.sha256(text).hexdigest()}"

    def _answers(self):
        try:
            self._call("GET", "/v2/", accept=(200, 401))
        except OSError:
            self.connection.close()
            return False
        return True

    def _upload(self, repository, content, size):
        begun = self._call("POST", f"/v2/{repository}/blobs/uploads/")
        sha = hashlib.sha256()

        def chunks():
            while chunk := content.read(1 << 20):
                sha.update(chunk)
                yield chunk

        sent = self._call("PATCH", begun["Location"], chunks(), {"Content-Length": str(size)})
        digest = f"sha256:{sha.hexdigest()}"
        joint = "&" if "?" in sent["Location"] else "?"
        self._call("PUT", f"{sent['Location']}{joint}digest={digest}")
        return digest, size

    def _call(self, method, path, body=None, headers=None, accept=(200, 201, 202)):
        path = path.removeprefix(f"http://{self.name}")
        headers = {**self.auth, **(headers or {})}
        if method != "GET" and body is None:
            headers["Content-Length"] = "0"
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status in accept, f"{method} {path}: {answer.status} {text[:300]!r}"
        return answer.headers
