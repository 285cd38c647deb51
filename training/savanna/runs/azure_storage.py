"""Azure storage as a pyarrow filesystem."""

from __future__ import annotations

import base64
import binascii
import os
import re
from urllib.parse import urlsplit

from pyarrow.fs import AzureFileSystem

from savanna.errors import UsageError

KEY = "AZURE_STORAGE_KEY"
ENDPOINT = "AZURE_STORAGE_BLOB_ENDPOINT"
FORM = "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"

_URI = re.compile(
    r"abfss?://(?P<container>[a-z0-9-]+)@(?P<account>[a-z0-9]+)\.(?:dfs|blob)\."
    r"(?P<cloud>[a-z0-9.-]+)(?::443)?(?P<path>/[^?#]*)?"
)


def open_azure(location: str) -> tuple[AzureFileSystem, str]:
    """The filesystem of an `abfss://` or `abfs://` location, and `container/path` in it.

    Sends no request. Raises `UsageError` if the location, the key or the endpoint is malformed. The
    message quotes none of them, as they may hold a secret.
    """
    match = _URI.fullmatch(location)
    if match is None:
        raise UsageError(f"the Azure storage location is malformed; use {FORM}.")
    account = match["account"]
    path = "/".join(part for part in (match["path"] or "").split("/") if part)
    options = _endpoint(account, match["cloud"])
    filesystem = AzureFileSystem(account, account_key=_key(), **options)
    return filesystem, f"{match['container']}/{path}".rstrip("/")


def _key() -> str | None:
    key = os.environ.get(KEY, "").strip()
    try:
        base64.b64decode(key, validate=True)
    except binascii.Error as error:  # pyarrow would abort the process
        raise UsageError(f"{KEY} is not a storage account key, which is base64.") from error
    return key or None


def _endpoint(account: str, cloud: str) -> dict[str, str]:
    """Arguments of `AzureFileSystem`, which prefixes `.host` with the account, but not `host`."""
    given = os.environ.get(ENDPOINT, "").strip()
    if not given:
        return {
            "blob_storage_authority": f".blob.{cloud}",
            "dfs_storage_authority": f".dfs.{cloud}",
        }
    parts = urlsplit(given)
    host = parts.netloc
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w.-]+(:\d+)?", host):
        raise UsageError(f"{ENDPOINT} must be like http://127.0.0.1:10000 or https://HOST.")
    if parts.query or parts.fragment or parts.path.strip("/") not in ("", account):
        raise UsageError(f"{ENDPOINT} must be a scheme and a host, without path or token.")
    if host.startswith(f"{account}."):
        host = host.removeprefix(account)
    return {
        "blob_storage_authority": host,
        "blob_storage_scheme": parts.scheme,
        "dfs_storage_authority": host.replace(".blob.", ".dfs.", 1),
        "dfs_storage_scheme": parts.scheme,
    }
