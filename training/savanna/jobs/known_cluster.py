"""Which cluster the job commands talk to."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from savanna.errors import UsageError

FILE = Path(".savanna/cluster.json")
"""Written by `make cluster-up`, relative to the working folder."""
RESULTS = "/results"
HINT = "Start one here with `make cluster-up`, or reach one in the cloud with `make tunnel`."


@dataclass(frozen=True)
class Cluster:
    """A Ray head: the URL of its Jobs API, and the file (never the text) of its token."""

    name: str
    address: str  # http://host:port
    token_file: Path
    results: str = RESULTS  # folder of the run directories on the head

    def token(self) -> str:
        """The token; `UsageError` if the file has none. Keep it out of messages."""
        try:
            token = self.token_file.read_text().strip()
        except OSError as error:
            raise UsageError(
                f"cannot read the cluster's token file {self.token_file}: {error.strerror}"
            ) from error
        if not token:
            raise UsageError(f"the cluster's token file {self.token_file} is empty")
        return token


def find_cluster(
    file: Path | None = None,
    address: str | None = None,
    token_file: Path | None = None,
    results: str | None = None,
) -> Cluster:
    """The cluster that options, environment or `.savanna/cluster.json` name, in this order.

    Raises `UsageError` if there is none, or if it is unusable.
    """
    if file is not None and address is not None:
        raise UsageError("--cluster and --address both name a cluster. Give only one.")
    if file is None and address is None:
        address = os.environ.get("RAY_API_SERVER_ADDRESS") or None
    if address is not None:
        if not address.startswith(("http://", "https://")):
            raise UsageError(
                f"--address {address}: give the URL of the cluster's Jobs API, such as "
                "http://127.0.0.1:8265. The job itself always joins that cluster."
            )
        default = os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token"
        token_file = (token_file or Path(default)).expanduser()
        found = Cluster(address, address.rstrip("/"), token_file, results or RESULTS)
    else:
        found = _from_file(file or FILE, token_file, results, given=file is not None)
    found.token()
    return found


def _from_file(file: Path, token_file: Path | None, results: str | None, *, given: bool) -> Cluster:
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError as error:
        if given:
            raise UsageError(f"--cluster {file}: no such file. {HINT}") from error
        raise UsageError(f"no cluster found here ({file} does not exist). {HINT}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {file}: {error}") from error
    missing = [k for k in ("name", "address", "token_file") if not content.get(k)]
    if missing:
        raise UsageError(f"{file} lacks {', '.join(missing)}. {HINT}")
    return Cluster(
        name=content["name"],
        address=content["address"].rstrip("/"),
        token_file=(token_file or Path(content["token_file"])).expanduser(),
        results=results or content.get("results") or RESULTS,
    )
