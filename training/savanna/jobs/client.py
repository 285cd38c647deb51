"""Ray's Jobs API with time limits and errors that say what is wrong."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from savanna.errors import SavannaError
from savanna.jobs.known_cluster import HINT, Cluster

CONNECT_SECONDS, READ_SECONDS = 10.0, 120.0
_ADDRESS = "RAY_API_SERVER_ADDRESS"


class Unreachable(SavannaError):
    """The cluster does not answer, or not sensibly: it may again in a moment."""


class UnknownJob(SavannaError):
    """The cluster answers, and does not know the job."""


class JobExists(SavannaError):
    """The cluster has a job of that id already: an earlier request did arrive."""


class JobsClient(JobSubmissionClient):
    """`JobSubmissionClient` of one cluster; every method may raise the errors of this module."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        headers = {"Authorization": f"Bearer {cluster.token()}"}
        # These variables would win over the address that is given.
        saved = os.environ.get(_ADDRESS)
        os.environ[_ADDRESS] = cluster.address
        try:
            super().__init__(cluster.address, headers=headers)
        except RuntimeError as error:
            raise SavannaError(f"{cluster.address} is no Ray cluster: {error}") from error
        finally:
            if saved is None:
                del os.environ[_ADDRESS]
            else:
                os.environ[_ADDRESS] = saved

    def _do_request(self, method: str, endpoint: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", (CONNECT_SECONDS, READ_SECONDS))
        if urlsplit(self.cluster.address).hostname in ("127.0.0.1", "localhost", "::1"):
            # Not through a proxy, which would be sent the token.
            options.setdefault("proxies", {"http": "", "https": "", "all": ""})
        where = f"the cluster {self.cluster.name} at {self.cluster.address}"
        try:
            response = super()._do_request(method, endpoint, **options)
        except AuthenticationError:
            raise SavannaError(
                f"the cluster refused the token in {self.cluster.token_file}"
            ) from None
        except requests.RequestException as error:
            # A refused connection is no OSError subclass worth showing: its text is a page long.
            slow = isinstance(error, requests.Timeout)
            how = "did not answer in time" if slow else "cannot be reached"
            raise Unreachable(f"{where} {how}. {HINT}") from error
        if response.status_code == 404 and endpoint.startswith("/api/jobs/"):
            raise UnknownJob(f"the cluster {self.cluster.name} knows no such job")
        if response.status_code >= 400 and method == "POST" and "already exists" in response.text:
            raise JobExists(f"the cluster {self.cluster.name} has this job already")
        if response.status_code >= 500:
            lines = response.text.strip().splitlines() or [response.reason]
            raise Unreachable(f"{where} answered {response.status_code}: {lines[-1][:300]}")
        return response
