"""Stands in for `az`, `pulumi`, `ssh`, `docker`, `make`: records calls, answers from a state file.

Answers have the format in the commands' documentation. `FAKE` is the folder with `state.json` and
`calls.jsonl`; the name it is called by is the command. It is started hundreds of times, so it
imports little: no pathlib and no http.server.
"""

import base64
import json
import os
import sys

FOLDER = os.environ["FAKE"]
STATE_FILE = os.path.join(FOLDER, "state.json")
with open(STATE_FILE) as state_file:
    STATE = json.load(state_file)
WRONG = (
    "error: failed to decrypt: incorrect passphrase, please set PULUMI_CONFIG_PASSPHRASE to the "
    "correct passphrase"
)
COMMAND, ARGUMENTS = os.path.basename(sys.argv[0]), sys.argv[1:]


def save() -> None:
    with open(STATE_FILE, "w") as file:
        json.dump(STATE, file)


def fail(text: str) -> None:
    print(text, file=sys.stderr)
    sys.exit(1)


def option(name: str) -> str:
    return ARGUMENTS[ARGUMENTS.index(name) + 1] if name in ARGUMENTS else ""


def az() -> object:
    words = [word for word in ARGUMENTS if not word.startswith("-")]
    if words[:1] != ["version"] and not STATE["logged_in"]:
        fail("ERROR: Please run 'az login' to setup account.")
    match ARGUMENTS:
        case ["version", *_]:
            return {"azure-cli": STATE["az_version"]}
        case ["account", "show", *_]:
            wanted = option("--subscription")
            known = {one["id"]: one for one in [STATE["account"], *STATE["accounts"]]}
            if wanted and wanted not in known:
                fail(f"ERROR: The subscription of '{wanted}' doesn't exist in cloud 'AzureCloud'.")
            return known[wanted] if wanted else STATE["account"]
        case ["account", "get-access-token", *_]:
            if STATE["login_expired"]:
                fail(
                    "ERROR: AADSTS700082: The refresh token has expired due to inactivity. "
                    "Interactive authentication is needed. Please run:\naz login"
                )
            user = STATE["account"]["user"]
            claims = {"oid": f"object-of-{user['name']}"}
            if user["type"] == "user":
                claims["scp"] = "user_impersonation"
            part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
            return {"expiresOn": "2099-01-01 00:00:00.000000", "accessToken": f"e30.{part}.c2ln"}
        case ["consumption", "budget", "list", *_]:
            if not STATE["budgets"]:
                fail("ERROR: (400) Cost management data is not supported for this subscription")
            return []
        case ["account", "list-locations", *_]:
            return [{"name": name} for name in STATE["locations"]]
        case ["extension", "list", *_]:
            return [{"name": name, "version": "1.4.0"} for name in STATE["extensions"]]
        case ["provider", "list", *_]:
            return STATE["providers"]
        case ["vm", "list-skus", *_]:
            return [sku for sku in STATE["skus"] if sku["name"] == option("--size")]
        case ["vm", "image", "show", *_]:
            if option("--urn") not in STATE["images"]:
                fail(f"ERROR: (PlatformImageNotFound) {option('--urn')} was not found.")
            return {"name": option("--urn").rsplit(":", 1)[1]}
        case ["vm", "list-usage", *_]:
            return STATE["usage"]
        case ["group", "exists", *_]:
            return option("--name") in STATE["groups"]
        case ["vm", "list", *_]:
            return STATE["machines"]
        case ["resource", "list", *_]:
            if option("--resource-group"):
                part = f"/resourceGroups/{option('--resource-group')}/"
                return [one for one in STATE["resources"] if part in one["id"]]
            key, equals, value = option("--tag").partition("=")
            return [
                one
                for one in STATE["resources"]
                if key in (one["tags"] or {}) and (not equals or one["tags"][key] == value)
            ]
        case ["resource", "show", *_]:
            return one_resource(option("--ids"))
        case ["resource", "delete", *_]:
            one_resource(option("--ids"))
            remove(lambda one: one["id"] == option("--ids"))
            return None
        case ["group", "show", *_]:
            return {"name": option("--name"), "tags": STATE["group_tags"]}
        case ["group", "delete", *_]:
            inside = f"/resourceGroups/{option('--name')}/"
            remove(lambda one: inside in one["id"])
            STATE["groups"].remove(option("--name"))
            STATE["machines"] = [one for one in STATE["machines"] if inside not in one["id"]]
            save()
            return None
        case ["lock", "list", *_]:
            return STATE["azure_locks"]
        case ["identity", "list", *_]:
            return STATE["identities"]
        case ["role", "definition", "list", *_]:
            return STATE["role_definitions"]
        case ["role", "assignment", "list", *_] if "--all" in ARGUMENTS:
            return STATE["role_assignments"]
        case ["rest", "--method", "delete", *_]:
            id_ = option("--url").partition("?")[0]
            locked(id_)
            for kind in ("role_definitions", "role_assignments"):
                STATE[kind] = [one for one in STATE[kind] if one["id"] != id_]
            save()
            return None
        case ["vmss", "list", *_]:
            return STATE["scale_sets"]
        case ["keyvault", "secret", "show", *_]:
            if STATE["vault_lags"]:
                STATE["vault_lags"] -= 1
                save()
            if STATE["vault_forbidden"] or STATE["vault_lags"]:
                fail("ERROR: (Forbidden) Caller is not authorized to perform action on resource.")
            return STATE["token"]
        case ["ad", *_]:
            fail("ERROR: Insufficient privileges to complete the operation.")
        case ["role", "assignment", "list", *_]:
            return [{"roleDefinitionName": name} for name in STATE["roles"]]
        case ["role", "assignment", "create", *_]:
            return {}
        case ["acr", "repository", "show", *_]:
            if option("--image") not in STATE["registry_images"]:
                fail("ERROR: manifest unknown")
            return {"digest": option("--image")}
        case ["vm", "start", *_]:
            if STATE["no_room"]:
                STATE["no_room"] -= 1
                save()
                fail(
                    "ERROR: (AllocationFailed) Allocation failed. We do not have sufficient "
                    "capacity for the requested VM size in this region."
                )
            for one in STATE["machines"]:
                if one["id"] in ARGUMENTS or one["name"] == option("--name"):
                    one["powerState"] = "VM running"
            save()
            return None
        case ["vmss", "list", *_]:
            return STATE["scale_sets"]
        case ["vmss", "scale", *_]:
            scale(option("--name"), int(option("--new-capacity")))
            save()
            return {}
        case ["vmss", "delete-instances", *_]:
            gone = ARGUMENTS[ARGUMENTS.index("--instance-ids") + 1 :]
            for name in gone[: next(i for i, text in enumerate(gone) if text.startswith("--"))]:
                if find(name)["powerState"] == "VM running":
                    STATE["removed_running"].append(name)
            left = [one for one in STATE["machines"] if one["name"] not in gone]
            addresses = {one["privateIps"] for one in left}
            STATE["machines"] = left
            STATE["ray_nodes"] = [n for n in STATE["ray_nodes"] if n["node_ip"] in addresses]
            save()
            return None
        case ["vm", "run-command", "invoke", *_] | ["vm", "deallocate", *_]:
            find(option("--name"))["powerState"] = "VM deallocated"
            save()
            return None
        case ["vm", "resize", *_]:
            find(option("--name"))["hardwareProfile"]["vmSize"] = option("--size")
            save()
            return None
        case ["disk", "update", *_]:
            return None
        case ["tag", "update", *_]:
            given = ARGUMENTS[ARGUMENTS.index("--tags") + 1 :]
            ends = next(i for i, text in enumerate(given) if text.startswith("--"))
            tags = dict(text.split("=", 1) for text in given[:ends])
            for one in [*STATE["machines"], *STATE["scale_sets"], *STATE["resources"]]:
                if one["id"].lower() == option("--resource-id").lower():
                    one["tags"] = {**one["tags"], **tags}
            save()
            return {}
        case ["network", "bastion", "tunnel", *_]:
            if STATE["bastion_fails"]:
                fail("ERROR: Bastion Host SKU must be Standard or Premium")
            listen(int(option("--port")))
    fail(f"ERROR: the stand-in does not know: az {' '.join(ARGUMENTS)}")
    return None


def find(name: str) -> dict:
    return next(one for one in STATE["machines"] if one["name"] == name)


def scale(name: str, count: int) -> None:
    """Azure makes what is missing, from the set as it is now."""
    of = next(one for one in STATE["scale_sets"] if one["name"] == name)
    of["sku"]["capacity"] = count
    have = sum(one["name"].startswith(f"{name}_") for one in STATE["machines"])
    for _ in range(have, count):
        number = STATE["made"] = STATE.get("made", 0) + 1
        address = f"10.0.0.{150 + number}"
        machine = {
            "id": f"{of['id'].rsplit('/', 2)[0]}/virtualMachines/{name}_new{number}",
            "name": f"{name}_new{number}",
            "hardwareProfile": {"vmSize": of["sku"]["name"]},
            "powerState": "VM running",
            "privateIps": address,
            "priority": "Spot",
            "tags": of["tags"],
            "timeCreated": "2026-11-22T08:00:00.123456+00:00",
        }
        STATE["machines"].append(machine)
        STATE["ray_nodes"].append({"node_ip": address, "state": "ALIVE", "is_head_node": False})


def one_resource(id_: str) -> object:
    for one in STATE["resources"]:
        if one["id"].lower() == id_.lower():
            return one
    fail(f"ERROR: (ResourceNotFound) The Resource '{id_}' was not found.")
    return None


def locked(id_: str) -> None:
    for lock in STATE["azure_locks"]:
        scope = lock["id"].partition("/providers/Microsoft.Authorization/locks/")[0]
        if id_.startswith(scope):
            fail(
                f"ERROR: (ScopeLocked) The scope '{id_}' cannot perform delete operation because "
                f"following scope(s) are locked: '{scope}'."
            )


def remove(which) -> None:
    """As Azure: not what is locked, nor what another resource uses."""
    gone = [one for one in STATE["resources"] if which(one)]
    for one in gone:
        locked(one["id"])
        users = [u for u in STATE["resources"] if one["id"] in u.get("uses", []) and u not in gone]
        if users:
            fail(f"ERROR: (InUseSubnetCannotBeDeleted) {one['id']} is in use by {users[0]['id']}")
    ids = [one["id"] for one in gone]
    STATE["resources"] = [one for one in STATE["resources"] if one["id"] not in ids]
    STATE["machines"] = [one for one in STATE["machines"] if one["id"] not in ids]
    save()


def project() -> str:
    return "foundation" if os.path.basename(os.getcwd()) == "foundation" else "cluster"


def record() -> dict:
    """As `pulumi stack export` has it."""
    name = "savanna" if project() == "cluster" else "savanna-foundation"
    root = {
        "urn": f"urn:pulumi:dev::{name}::pulumi:pulumi:Stack::{name}-dev",
        "type": "pulumi:pulumi:Stack",
    }
    kind = "azure-native:resources:ResourceGroup"
    group = {"urn": f"urn:pulumi:dev::{name}::savanna:infra:Group${kind}::group-own", "type": kind}
    there = [root, group] if project() in STATE["deployed"] else []
    return {"version": 3, "deployment": {"resources": there}}


def transcript(name: str) -> None:
    """Say what the real `pulumi` said, and end as it did."""
    with open(os.path.join(STATE["transcripts"], name + ".json")) as file:
        said = json.load(file)
    for text, stream in ((said["stdout"], sys.stdout), (said["stderr"], sys.stderr)):
        print(text.replace(STATE["laptop"], STATE["locked_by"]), end="", file=stream)
    sys.exit(said["exit"])


def pulumi() -> str:
    if STATE["locked_by"] and ARGUMENTS[0] in ("up", "destroy"):
        transcript(f"{ARGUMENTS[0]}-locked")
    match ARGUMENTS:
        case ["cancel", *_]:
            STATE["locked_by"] = ""
            save()
            return "The currently running update for 'dev' has been canceled!"
        case ["stack", "export", *_]:
            if project() not in [*STATE["stacks"], *STATE["deployed"]]:
                print(f"error: no stack named '{option('--stack')}' found", file=sys.stderr)
                sys.exit(6)
            if "--show-secrets" in ARGUMENTS and STATE["wrong_passphrase"]:
                fail(WRONG)
            return json.dumps(STATE["records"].get(project()) or record())
        case ["stack", "import", *_]:
            with open(option("--file")) as file:
                STATE["records"][project()] = json.load(file)
            save()
            return "Import complete."
        case ["stack", "rm", *_]:
            for known in ("stacks", "deployed"):
                STATE[known] = [one for one in STATE[known] if one != project()]
            STATE["records"].pop(project(), None)
            save()
            return ""
        case ["state", "unprotect", *_] if STATE["locked_by"]:
            transcript("destroy-locked")
        case ["state", "unprotect", *_] | ["up", *_] | ["destroy", *_] if STATE["wrong_passphrase"]:
            fail(WRONG)
        case ["version", *_]:
            return STATE["pulumi_version"]
        case ["whoami", *_]:
            if not STATE["pulumi_login"]:
                fail("error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive use")
            return json.dumps({"user": "someone", "organizations": [], "url": STATE["backend"]})
        case ["stack", "output", *_]:
            if project() not in STATE["deployed"]:
                fail(f"error: no stack named '{option('--stack')}' found")
            return json.dumps(STATE["outputs"][project()])
        case ["stack", "select", *_]:
            STATE["stacks"].append(project())
            save()
            return ""
        case ["config", "set", *_] | ["preview", *_] | ["up", *_] if project() not in [
            *STATE["stacks"],
            *STATE["deployed"],
        ]:
            fail("error: no stack named 'x' found")
        case ["preview", "--json", *_]:
            return json.dumps({"steps": STATE["preview_steps"], "changeSummary": {}})
        case ["stack", *_] | ["config", "set", *_] | ["state", "unprotect", *_] | ["preview", *_]:
            return ""
        case ["up", *_]:
            if STATE["up_fails"] == project():
                fail("error: update failed: (SkuNotAvailable) no capacity")
            if STATE["up_says"] and project() == "cluster":
                if STATE["events"]:
                    import gzip

                    with gzip.open(os.path.join(STATE["transcripts"], STATE["events"])) as file:
                        events = file.read()
                    with open(option("--event-log"), "wb") as file:
                        file.write(events)
                transcript(STATE["up_says"])
            if project() == "cluster" and STATE["up_lags"]:
                text = STATE["up_lags"].pop()
                save()
                print(f'error: Code="{text}"')  # among its progress, on stdout
                sys.exit(255)
            if project() not in STATE["deployed"]:
                STATE["deployed"].append(project())
            if project() == "cluster":
                STATE.update(STATE["when_up"])
            save()
            return "update complete"
        case ["destroy", *_]:
            if STATE["destroy_fails"] == project():
                fail("error: deleting urn: a resource is locked")
            if STATE["destroy_says"] and project() == "cluster":
                transcript(STATE["destroy_says"])
            STATE["deployed"].remove(project())
            if project() == "cluster":
                STATE.update(STATE["when_down"])
            save()
            return "destroyed"
    fail(f"error: the stand-in does not know: pulumi {' '.join(ARGUMENTS)}")
    return ""


def listen(port: int) -> None:
    import socket

    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            server.accept()


def dashboard(port: int) -> str:
    """As much of the head's dashboard as is used."""
    import socket

    granted = f"Authorization: Bearer {STATE['head_token']}".encode()
    nodes = json.dumps({"data": {"result": {"result": STATE["ray_nodes"]}}}).encode()
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            client, _ = server.accept()
            with client:
                asked = client.recv(65536)
                if asked:  # or somebody only checked whether it listens
                    known = granted in asked.split(b"\r\n")
                    status, body = (b"200 OK", nodes) if known else (b"401 Unauthorized", b"")
                    client.sendall(
                        b"HTTP/1.0 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
                    )


def ssh() -> str:
    if "agent stop" in ARGUMENTS[-1]:
        if STATE["ssh_refuses"]:
            fail("ssh: connect to host: Connection refused")
        STATE["machines"][0]["powerState"] = "VM deallocated"
        save()
        return ""
    if "-L" not in ARGUMENTS:
        print("hello from the head")
        sys.exit(STATE["ssh_code"])
    if STATE["ssh_refuses"]:
        fail("ssh: connect to host: Connection refused")
    if STATE["key_refused"]:
        fail("savanna@127.0.0.1: Permission denied (publickey).")
    return dashboard(int(option("-L").split(":")[0]))


def docker() -> str:
    if not STATE["docker"]:
        fail("Cannot connect to the Docker daemon")
    return ""


def make() -> str:
    if "image-push" not in ARGUMENTS:
        return ""
    if STATE["push_fails"]:
        fail("make: *** [image-push] Error 2")
    for flavour in next(a for a in ARGUMENTS if a.startswith("FLAVOURS="))[9:].split():
        registry = next(a for a in ARGUMENTS if a.startswith("REGISTRY="))[9:]
        os.makedirs(STATE["images_folder"], exist_ok=True)
        with open(os.path.join(STATE["images_folder"], f"{flavour}.ref"), "w") as file:
            print(f"{registry}/savanna-{flavour}@sha256:{'cd' * 32}", file=file)
    return ""


with open(os.path.join(FOLDER, "calls.jsonl"), "a") as log:
    log.write(json.dumps([COMMAND, project(), *ARGUMENTS]) + "\n")
ANSWERS = {"az": az, "pulumi": pulumi, "ssh": ssh, "make": make, "docker": docker}
answer = ANSWERS[COMMAND]()
print(answer if isinstance(answer, str) and COMMAND != "az" else json.dumps(answer))
