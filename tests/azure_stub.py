"""A stand-in for the Azure services that a node calls, over HTTP: metadata service, managed
identities, container registry tokens, key vault, blob storage, deallocation. It records every call
with the identity that made it, and refuses what that identity may not do."""

import base64
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import NameOID

AUDIENCES = {
    "registry": "https://containerregistry.azure.net",
    "vault": "https://vault.azure.net",
    "storage": "https://storage.azure.com/",
    "arm": "https://management.azure.com/",
}


@dataclass
class Vm:
    """A machine: where its calls come from, its assigned identity, its events."""

    name: str
    address: str
    identity: str  # client id
    events: list = field(default_factory=list)
    tags: dict = field(default_factory=dict)

    @property
    def vm_id(self):
        return f"vm-id-of-{self.name}"

    @property
    def resource_id(self):
        return (
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/"
            + self.name
        )


@dataclass(frozen=True)
class Call:
    who: str  # client id; "" without one
    what: str  # "token", "exchange", "pull", "secret", "blob", "deallocate", "acknowledge", ...
    detail: str
    status: int
    body: bytes = b""


class AzureStub:
    """`with AzureStub() as azure:` serves on `address`; give it `vms`, `pullers` and `secrets`."""

    def __init__(self, address="127.0.0.1"):
        self.vms, self.pullers, self.secrets, self.calls = [], set(), {}, []
        self.failures = {}  # what -> status to answer instead
        self.service = "registry"  # that the registry's tokens are for
        self.issued = {}  # token -> (client id, audience)
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer((address, 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://{address}:{self._server.server_port}"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = _certificate(self._key)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def made(self, what, who=None):
        """The successful calls of one kind, and of one identity if given."""
        with self._lock:
            return [
                c for c in self.calls if c.what == what and c.status < 300 and who in (None, c.who)
            ]

    def refused(self, what, who=None):
        with self._lock:
            return [
                c for c in self.calls if c.what == what and c.status >= 300 and who in (None, c.who)
            ]

    def note(self, call):
        with self._lock:
            self.calls.append(call)

    def vm(self, address):
        return next((vm for vm in self.vms if vm.address == address), None)

    def issue(self, who, audience):
        token = f"secret-{secrets.token_hex(16)}"
        self.issued[token] = (who, audience)
        return token

    def announce(self, vm, kind, seconds=30):
        """A scheduled event for `vm`; its id."""
        start = datetime.now(UTC) + timedelta(seconds=seconds)
        event = {
            "EventId": secrets.token_hex(8),
            "EventType": kind,
            "EventStatus": "Scheduled",
            "ResourceType": "VirtualMachine",
            "Resources": [vm.name],
            "NotBefore": start.strftime("%a, %d %b %Y %H:%M:%S GMT"),
            "EventSource": "Platform",
        }
        vm.events.append(event)
        return event["EventId"]

    def registry_jwt(self, who, scopes):
        """A token that the registry trusts: pull for those in `pullers`, push for "pusher"."""
        access = []
        for scope in scopes:
            kind, _, rest = scope.partition(":")
            name, _, actions = rest.rpartition(":")
            allowed = {"pull"} if who in self.pullers else set()
            allowed = {"pull", "push"} if who == "pusher" else allowed
            wanted = sorted(allowed & set(actions.split(",")))
            if wanted:
                access.append({"type": kind, "name": name, "actions": wanted})
        now = int(time.time())
        claims = {
            "iss": "stub",
            "sub": who,
            "aud": self.service,
            "exp": now + 900,
            "nbf": now - 60,
            "iat": now,
            "jti": secrets.token_hex(8),
            "access": access,
        }
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        head = {"typ": "JWT", "alg": "ES256", "x5c": [base64.b64encode(der).decode()]}
        text = ".".join(_url64(json.dumps(part).encode()) for part in (head, claims))
        r, s = utils.decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{_url64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def _handler(azure):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.serve()

        do_POST = do_PUT = do_GET

        def log_message(self, *_):
            pass

        def serve(self):
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            who, what, detail, status, answer = self.answer(parts.path, query, body)
            if status < 300 and what in azure.failures:
                status, answer = azure.failures[what], {"error": "a planted failure"}
            azure.note(Call(who, what, detail, status, body))
            text = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def caller(self, audience):
            """The client id of a bearer token for this audience, or ""."""
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            who, meant = azure.issued.get(token, ("", ""))
            return who if meant == AUDIENCES[audience] else ""

        def answer(self, path, query, body):
            no = {"error": "not allowed"}
            if path.startswith("/metadata/"):
                return self.metadata(path.removeprefix("/metadata/"), query, body)
            if path == "/oauth2/exchange":
                form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
                who, meant = azure.issued.get(form.get("access_token"), ("", ""))
                fine = meant == AUDIENCES["registry"] and form.get("service") == azure.service
                token = {"refresh_token": azure.issue(who, "refresh")}
                return who, "exchange", azure.service, 200 if fine else 401, token if fine else no
            if path == "/oauth2/token":
                return self.registry_token(query)
            if path.startswith("/vault/"):
                who = self.caller("vault")
                value = azure.secrets.get((who, path.rpartition("/")[2]))
                answer = {"value": value} if value else no
                return who, "secret", path, 200 if value else 403, answer
            if path.startswith("/blobs/") and self.command == "PUT":
                who = self.caller("storage")
                fine = who and self.headers.get("x-ms-blob-type") == "BlockBlob"
                return who, "blob", path.removeprefix("/blobs/"), 201 if fine else 403, None
            if path.endswith("/deallocate") and self.command == "POST":
                who, vm = self.caller("arm"), path.removesuffix("/deallocate")
                known = any(v.resource_id == vm for v in azure.vms)
                return who, "deallocate", vm.rpartition("/")[2], 202 if who and known else 403, None
            return "", "unknown", path, 404, no

        def metadata(self, path, query, body):
            vm = azure.vm(self.client_address[0])
            if vm is None or self.headers.get("Metadata") != "true" or "api-version" not in query:
                return "", "metadata", path, 400, {"error": "no metadata header, or no machine"}
            if path == "identity/oauth2/token":
                who = query.get("client_id", "")
                if who != vm.identity:
                    return who, "token", "", 400, {"error": "identity not found"}
                token = azure.issue(who, query["resource"])
                return who, "token", query["resource"], 200, {"access_token": token}
            if path == "instance/compute":
                compute = {"vmId": vm.vm_id, "name": vm.name, "resourceId": vm.resource_id}
                compute["tagsList"] = [{"name": k, "value": v} for k, v in vm.tags.items()]
                return "", "instance", vm.name, 200, compute
            if path == "scheduledevents" and self.command == "POST":
                wanted = [one["EventId"] for one in json.loads(body)["StartRequests"]]
                return vm.identity, "acknowledge", ",".join(wanted), 200, None
            if path == "scheduledevents":
                found = {"DocumentIncarnation": 1, "Events": vm.events}
                return vm.identity, "events", vm.name, 200, found
            return "", "metadata", path, 404, {"error": "unknown"}

        def registry_token(self, query):
            """What `docker` requests with the login it was given."""
            basic = self.headers.get("Authorization", "").removeprefix("Basic ")
            user, _, password = base64.b64decode(basic).decode().partition(":")
            who, meant = azure.issued.get(password, ("", ""))
            if meant != "refresh" or user != "00000000-0000-0000-0000-000000000000":
                return who, "registry-token", "", 401, {"error": "wrong login"}
            scopes = query.get("scope", "").split()
            token = azure.registry_jwt(who, scopes)
            return who, "registry-token", " ".join(scopes), 200, {"token": token}

    return Handler


def _url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _certificate(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stub")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - timedelta(days=1))
    builder = builder.not_valid_after(now + timedelta(days=2))
    # The registry's library requires the purpose of the key.
    usage = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
    builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    return builder.add_extension(usage, True).sign(key, hashes.SHA256())
