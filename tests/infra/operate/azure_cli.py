"""A subscription that does not exist: the commands on PATH, and their answers."""

import copy
import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

from infra.plan.plan import EXAMPLE_CLUSTER

SCRIPT = Path(__file__).with_name("fake_cli.py")
TRANSCRIPTS = Path(__file__).parents[2] / "engine" / "transcripts"
"""What the real `pulumi` said, with a provider that stands in for Azure."""
TOKEN = "5ecre7" * 8
GROUP = "/subscriptions/s/resourceGroups/savanna-dev/providers"
TAGS = {
    "savanna-project": "savanna",
    "savanna-stack": "dev",
    "savanna-owner": "team@example.org",
    "savanna-expires": "2099-01-01T00:00Z",
}


def machine(name: str, size: str, address: str, **more: object) -> dict:
    """As in `az vm list --show-details`."""
    return {
        "id": f"{GROUP}/Microsoft.Compute/virtualMachines/{name}",
        "name": name,
        "vmId": f"vm-id-of-{name}",
        "hardwareProfile": {"vmSize": size},
        "powerState": "VM running",
        "privateIps": address,
        "priority": None,
        "tags": TAGS,
        "timeCreated": "2026-11-21T08:00:00.123456+00:00",
        **more,
    }


def resource(kind: str, name: str, tags: dict | None = TAGS, group: str = GROUP) -> dict:
    """As in `az resource list`."""
    return {"id": f"{group}/{kind}/{name}", "name": name, "type": kind, "tags": tags}


def ray_node(address: str, head: bool = False, state: str = "ALIVE") -> dict:
    return {"node_ip": address, "state": state, "is_head_node": head}


def usage(name: str, limit: int, used: int = 0) -> dict:
    """As in `az vm list-usage`: numbers are strings."""
    return {
        "name": {"value": name, "localizedValue": name},
        "limit": str(limit),
        "currentValue": str(used),
    }


def sku(name: str, vcpus: int, memory: float, gpus: int = 0, **more: object) -> dict:
    capabilities = {"vCPUs": vcpus, "MemoryGB": f"{memory:g}", "LowPriorityCapable": "True"}
    if gpus:
        capabilities["GPUs"] = gpus
    return {
        "name": name,
        "resourceType": "virtualMachines",
        "restrictions": [],
        "capabilities": [{"name": k, "value": str(v)} for k, v in capabilities.items()],
        **more,
    }


HEAD = machine("savanna-dev-head", "Standard_NC8as_T4_v3", "10.0.0.4")
WORKER = machine("savanna-dev-cpu_1", "Standard_D16as_v6", "10.0.0.132", priority="Spot")
LIMITS = "JOIN_MINUTES=20 IDLE_MINUTES=30 MAX_HOURS=24"
SET_TAGS = {**TAGS, "savanna-pool": "cpu", "savanna-boot": "b1", "savanna-limits": LIMITS}
HEAD["tags"] = {**TAGS, "savanna-boot": "h1", "savanna-limits": LIMITS}
HEAD["storageProfile"] = {
    "osDisk": {"managedDisk": {"id": f"{GROUP}/Microsoft.Compute/disks/savanna-dev-head_OsDisk_1"}}
}
WORKER["tags"] = dict(SET_TAGS)


def scale_set(pool: str, capacity: int, size: str = "Standard_D16as_v6", **tags: str) -> dict:
    """As in `az vmss list`."""
    return {
        **resource("Microsoft.Compute/virtualMachineScaleSets", f"savanna-dev-{pool}"),
        "sku": {"name": size, "tier": "Standard", "capacity": capacity},
        "tags": {**SET_TAGS, "savanna-pool": pool, **tags},
    }


RUNNING = {
    "groups": ["savanna-dev"],
    "scale_sets": [scale_set("cpu", 1)],
    "machines": [HEAD, WORKER],
    "ray_nodes": [ray_node("10.0.0.4", head=True), ray_node("10.0.0.132")],
    "resources": [
        resource("Microsoft.Compute/virtualMachines", "savanna-dev-head"),
        resource("Microsoft.Compute/disks", "savanna-dev-head_OsDisk_1", tags=None),
        resource("Microsoft.Network/natGateways", "savanna-dev-nat"),
    ],
}
GONE = {"groups": [], "scale_sets": [], "machines": [], "ray_nodes": [], "resources": []}
GOOD = {
    "logged_in": True,
    "pulumi_login": True,
    "backend": "https://api.pulumi.com",
    "az_version": "2.80.0",
    "pulumi_version": "v3.272.0",
    "account": {
        "id": "s",
        "name": "Research",
        "state": "Enabled",
        "user": {"name": "me@example.org", "type": "user"},
    },
    "removed_running": [],  # machines that were deleted while they worked
    "accounts": [],  # others that this login sees
    "locations": ["westeurope", "eastus"],
    "extensions": ["bastion"],
    "skus": [
        sku("Standard_NC8as_T4_v3", 8, 56, 1),
        sku("Standard_D16as_v6", 16, 64),
        sku("Standard_D4as_v6", 4, 16),
        sku("Standard_D2as_v6", 2, 8),
    ],
    "usage": [
        usage("cores", 100),
        usage("lowPriorityCores", 100),
        usage("Standard NCASv3_T4 Family", 16),
        usage("standardDav6Family", 16),
    ],
    "token": TOKEN,
    "head_token": TOKEN,
    "roles": ["Owner"],
    "vault_forbidden": False,
    "vault_lags": 0,  # refusals until a new assignment counts
    "bastion_fails": False,
    "ssh_refuses": False,
    "ssh_code": 0,
    "registry_images": [],
    "deployed": [],
    "stacks": [],
    "preview_steps": [],
    "up_fails": "",
    "up_lags": [],
    "push_fails": False,
    "docker": True,
    "destroy_fails": "",
    "login_expired": False,
    "budgets": True,
    "no_room": 0,
    "key_refused": False,
    "up_says": "",
    "destroy_says": "",
    "events": "",
    "locked_by": "",
    "laptop": "me@laptop (pid 25199) at 2026-11-29T22:48:03Z",  # in the transcripts
    "wrong_passphrase": False,
    "records": {},
    "group_tags": TAGS,
    "azure_locks": [],
    "identities": [],
    "role_assignments": [],
    "role_definitions": [],
    "scale_sets": [],
    "when_up": RUNNING,
    "when_down": GONE,
    "outputs": {
        "foundation": {
            "registry_login_server": "images.azurecr.io",
            "resource_group": "savanna-dev-foundation",
            "storage_uri": "abfss://results@acc.dfs.core.windows.net",
            "vault_id": "/subscriptions/s/vaults/v",
            "results_container_id": "/subscriptions/s/containers/results",
            "vault_uri": "https://v.vault.azure.net/",
        },
        "cluster": {
            "head_vm": "savanna-dev-head",
            "head_unique_id": "3f7c",
            "head_vm_id": f"{GROUP}/Microsoft.Compute/virtualMachines/savanna-dev-head",
            "head_address": "10.0.0.4",
            "resource_group": "savanna-dev",
            "scale_sets": {"cpu": "savanna-dev-cpu"},
            "bastion": "savanna-dev-bastion",
            "storage_uri": "abfss://results@acc.dfs.core.windows.net/dev",
            "ray_token_uri": "https://v.vault.azure.net/secrets/ray-token-dev",
            "expires": "2099-01-01T00:00Z",
        },
    },
    **GONE,
}


class Cloud:
    """The state that the stand-ins answer from, and the calls they got."""

    def __init__(self, folder: Path, images: list[str], providers: tuple[str, ...]) -> None:
        self.folder = folder
        self.state = copy.deepcopy(GOOD)
        self.state["images"] = images
        self.state["transcripts"] = str(TRANSCRIPTS)
        self.state["images_folder"] = str(folder / "images")
        self.state["providers"] = [
            {"namespace": name, "registrationState": "Registered"} for name in providers
        ]
        self.recipes = folder / "recipes"
        self.recipes.mkdir()
        for name in ("wheel.sh", "clean.sh"):
            self._install(self.recipes / name, "#!/bin/sh\n")
        self.commands = folder / "bin"
        self.commands.mkdir()
        # Imported, so that Python compiles it once.
        found = f"import sys\nsys.path.insert(0, {str(SCRIPT.parent)!r})\nimport {SCRIPT.stem}\n"
        for name in ("az", "pulumi", "ssh", "make", "docker"):
            self._install(self.commands / name, f"#!{sys.executable} -IS\n{found}")
        # Azure's is a shell script that starts Python and waits.
        (folder / "python").mkdir()
        (self.commands / "az").rename(folder / "python" / "az")
        self._install(self.commands / "az", f'#!/bin/sh\n{folder}/python/az "$@"\nexit $?\n')
        self.save()

    def lacks(self, recipe: str, text: str) -> None:
        """One of the images' scripts refuses."""
        self._install(self.recipes / recipe, f"#!/bin/sh\necho '{text}' >&2\nexit 2\n")

    @staticmethod
    def _install(file: Path, text: str) -> None:
        file.write_text(text)
        file.chmod(0o755)

    def environment(self, monkeypatch, with_tools: bool = True) -> None:
        monkeypatch.setenv("FAKE", str(self.folder))
        # The key of the example's settings.
        keys = self.folder / "home" / ".ssh"
        keys.mkdir(parents=True, exist_ok=True)
        (keys / "id_ed25519.pub").write_text(EXAMPLE_CLUSTER["sshPublicKey"])
        (keys / "id_ed25519").touch()
        monkeypatch.setenv("HOME", str(self.folder / "home"))
        path = os.environ["PATH"] if with_tools else "/nonexistent"
        monkeypatch.setenv("PATH", f"{self.commands}{os.pathsep}{path}" if with_tools else path)

    def answer_here(self, monkeypatch) -> None:
        """Run the same script in this process for commands whose output is captured: a test makes
        dozens, and each would start a Python. Other commands are still processes.
        """
        real = subprocess.run  # noqa: TID251 (what the tests' subject starts, not a test)
        script = compile(SCRIPT.read_text(), SCRIPT, "exec")

        def run(command, *, capture_output=False, cwd=None, **options):
            place = shutil.which(command[0])
            if not (capture_output and place and Path(place).parent == self.commands):
                return real(command, capture_output=capture_output, cwd=cwd, **options)
            out, err, code = io.StringIO(), io.StringIO(), 0
            with monkeypatch.context() as patch, chdir(cwd or Path.cwd()):
                patch.setattr("sys.argv", [place, *command[1:]])
                with redirect_stdout(out), redirect_stderr(err):
                    try:
                        exec(script, {"__name__": SCRIPT.stem})
                    except SystemExit as ended:
                        code = ended.code
            return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())

        monkeypatch.setattr("subprocess.run", run)

    def save(self, **changes: object) -> None:
        self.state.update(changes)
        (self.folder / "state.json").write_text(json.dumps(self.state))

    def read(self) -> dict:
        """The state as the stand-ins have left it."""
        return json.loads((self.folder / "state.json").read_text())

    def running(self, **changes: object) -> None:
        """The state after `make up`."""
        deployed = ["foundation", "cluster"]
        self.save(**{**copy.deepcopy(RUNNING), "deployed": deployed, **changes})

    def calls(self, *words: str) -> list[list[str]]:
        """The recorded calls that start with these words; the project comes second."""
        log = self.folder / "calls.jsonl"
        made = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [
            call
            for call in made
            if call[0] == words[0] and call[2 : 1 + len(words)] == list(words[1:])
        ]

    def everything(self) -> str:
        log = self.folder / "calls.jsonl"
        return log.read_text() if log.exists() else ""
