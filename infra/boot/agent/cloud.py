"""Calls to Azure's services with the node's managed identity.

Addresses and versions are those of the REST references of the instance metadata service, container
registry, key vault, blob storage and compute.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

REGISTRY = "https://containerregistry.azure.net"
VAULT = "https://vault.azure.net"
STORAGE = "https://storage.azure.com/"
ARM = "https://management.azure.com/"
INSTANCE = "instance/compute?api-version=2021-02-01&format=json"


class CloudError(Exception):
    """A failed call: the request and the answer, without any token."""


@dataclass(frozen=True)
class Instance:
    """This machine, as Azure knows it."""

    vm_id: str  # unique, never reused
    name: str  # as in scheduled events
    resource_id: str  # ARM id


def setting(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise CloudError(f"{name} is not set: load /etc/savanna/node.env")
    return value


def call(
    method: str,
    url: str,
    headers: dict[str, str],
    data: bytes | IO[bytes] | None = None,
    timeout: float = 20,
) -> bytes:
    """The body of a 2xx answer; `CloudError` for anything else. Never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    where = f"{method} {url.partition('?')[0]}"
    try:
        with opener.open(request, timeout=timeout) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        detail = " ".join(error.read(400).decode(errors="replace").split())
        raise CloudError(f"{where}: {error.code} {error.reason}: {detail}") from error
    except (OSError, ValueError) as error:
        raise CloudError(f"{where}: {error}") from error


def metadata(path: str, method: str = "GET", body: Any = None, timeout: float = 10) -> bytes:
    """An answer from the metadata service, which only this machine can reach."""
    url = f"{setting('METADATA_ENDPOINT')}/metadata/{path}"
    data = None if body is None else json.dumps(body).encode()
    return call(method, url, {"Metadata": "true"}, data, timeout)


def identity_token(resource: str) -> str:
    query = {
        "api-version": "2018-02-01",
        "resource": resource,
        "client_id": setting("IDENTITY_CLIENT_ID"),
    }
    (token,) = fields(metadata(f"identity/oauth2/token?{urlencode(query)}"), "access_token")
    return token


def bearer(resource: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {identity_token(resource)}"}


def instance() -> Instance:
    return Instance(*fields(metadata(INSTANCE), "vmId", "name", "resourceId"))


def tags() -> dict[str, str]:
    """This machine's tags, as they are now."""
    try:
        found = json.loads(metadata(INSTANCE))["tagsList"]
        return {str(one["name"]): str(one["value"]) for one in found}
    except (ValueError, KeyError, TypeError) as error:
        raise CloudError("an answer without tagsList") from error


def registry_token() -> str:
    """A refresh token for the registry: the password of `docker login`, valid for some hours."""
    form = {
        "grant_type": "access_token",
        "service": setting("REGISTRY"),
        "access_token": identity_token(REGISTRY),
    }
    url = f"{setting('REGISTRY_ENDPOINT')}/oauth2/exchange"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    (token,) = fields(call("POST", url, headers, urlencode(form).encode()), "refresh_token")
    return token


def ray_token() -> str:
    """The secret that all nodes of the cluster share."""
    url = f"{setting('TOKEN_SECRET')}?api-version=7.4"
    (token,) = fields(call("GET", url, bearer(VAULT)), "value")
    return token


def put_blob(name: str, file: Path) -> str:
    """Upload `file` (up to 5 GB) beside the cluster's results; returns its URL."""
    url = f"{setting('BLOB_ENDPOINT')}/{quote(name)}"
    headers = {
        **bearer(STORAGE),
        "x-ms-version": "2021-12-02",
        "x-ms-blob-type": "BlockBlob",
        "Content-Type": "application/octet-stream",
        "Content-Length": str(file.stat().st_size),
    }
    with file.open("rb") as content:
        call("PUT", url, headers, content, timeout=300)
    return url


def deallocate() -> None:
    """Ask Azure to stop this machine and its billing."""
    url = f"{setting('ARM_ENDPOINT')}{instance().resource_id}/deallocate?api-version=2024-07-01"
    call("POST", url, {**bearer(ARM), "Content-Length": "0"}, b"")


def fields(text: bytes, *names: str) -> list[str]:
    """These fields of a JSON object; `CloudError` if missing. Errors show no values (secrets)."""
    try:
        found = json.loads(text)
        return [str(found[name]) for name in names]
    except (ValueError, KeyError, TypeError) as error:
        raise CloudError(f"an answer without {', '.join(names)}") from error
