"""Ray's Jobs API with time limits and errors that say what is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from savanna.errors import SavannaError
from savanna.jobs.known_cluster import HINT, Cluster

CONNECT_SECONDS, READ_SECONDS = 10.0, 120.0
_ADDRESS = "RAY_API_SERVER_ADDRESS"


class Unreachable(SavannaError):
    """The cluster does not answer, or answers with an error; it may recover shortly."""


class UnknownJob(SavannaError):
    """The cluster answers, but does not know the job."""


class NoSuchFile(SavannaError):
    """The head has no file of that name among its logs."""


class JobExists(SavannaError):
    """The cluster already has a job with that id: an earlier request did arrive."""


class JobsClient(JobSubmissionClient):
    """`JobSubmissionClient` of one cluster; every method may raise the errors of this module."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        headers = {"Authorization": f"Bearer {cluster.token()}"}
        # This variable would override the given address.
        saved = os.environ.get(_ADDRESS)
        os.environ[_ADDRESS] = cluster.address
        try:
            super().__init__(cluster.address, headers=headers)
        except RuntimeError as error:
            raise SavannaError(f"{cluster.address} is not a Ray cluster: {error}") from error
        finally:
            if saved is None:
                del os.environ[_ADDRESS]
            else:
                os.environ[_ADDRESS] = saved

    def _do_request(self, method: str, endpoint: str, **options: Any) -> requests.Response:
        try:
            response = super()._do_request(method, endpoint, **self._options, **options)
        except AuthenticationError:
            raise self._refused() from None
        except requests.RequestException as error:
            raise self._away(error) from error
        if response.status_code == 404 and endpoint.startswith("/api/jobs/"):
            raise UnknownJob(f"the cluster {self.cluster.name} has no such job")
        if response.status_code >= 400 and method == "POST" and "already exists" in response.text:
            raise JobExists(f"the cluster {self.cluster.name} already has this job")
        if response.status_code >= 500:
            raise self._broken(response)
        return response

    def read_file(self, node: str, name: str, lines: int = -1) -> Iterator[bytes]:
        """The last `lines` lines (-1: all) of a file in a node's log folder, in small parts.

        Ray's State API reads `name` below that folder and follows links. In binary files, a line
        is whatever ends with byte 10. `NoSuchFile` if there is no such file.
        """
        query = {"node_id": node, "filename": name, "lines": str(lines), "timeout": "86400"}
        # Not with Ray's own method, which reads the whole answer into memory.
        try:
            with requests.get(
                f"{self.cluster.address}/api/v0/logs/file",
                params=query,
                headers=self._headers,
                stream=True,
                **self._options,
            ) as response:
                if response.status_code in (401, 403):
                    raise self._refused()
                if response.status_code >= 400:
                    if "A file is not found" in response.text:
                        raise NoSuchFile(f"the head of {self.cluster.name} has no such file")
                    raise self._broken(response)
                yield from response.iter_content(2**16)
        except requests.RequestException as error:
            raise self._away(error) from error

    @property
    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"timeout": (CONNECT_SECONDS, READ_SECONDS)}
        if urlsplit(self.cluster.address).hostname in ("127.0.0.1", "localhost", "::1"):
            # Not through a proxy, which would receive the token.
            options["proxies"] = {"http": "", "https": "", "all": ""}
        return options

    @property
    def _where(self) -> str:
        return f"the cluster {self.cluster.name} at {self.cluster.address}"

    def _refused(self) -> SavannaError:
        return SavannaError(f"the cluster refused the token in {self.cluster.token_file}")

    def _away(self, error: BaseException) -> Unreachable:
        # The error's own text is a page long, and not worth showing.
        slow = isinstance(error, requests.Timeout)
        how = "did not answer in time" if slow else "cannot be reached"
        return Unreachable(f"{self._where} {how}. {HINT}")

    def _broken(self, response: requests.Response) -> Unreachable:
        lines = response.text.strip().splitlines() or [response.reason]
        return Unreachable(f"{self._where} answered {response.status_code}: {lines[-1][:300]}")

    def tail(self, job: str) -> Iterator[str | None]:
        """Stream a job's log, from its beginning until the job ends.

        Yields `None` after every second without output.
        """
        lines: AsyncIterator[str] = self.tail_job_logs(job)
        loop = asyncio.new_event_loop()
        task: asyncio.Future[str] | None = None
        try:
            while True:
                task = task or asyncio.ensure_future(anext(lines), loop=loop)
                done, _ = loop.run_until_complete(asyncio.wait({task}, timeout=1.0))
                if not done:
                    yield None
                    continue
                ended, task = task, None
                yield ended.result()
        except StopAsyncIteration:
            return
        except (OSError, RuntimeError, aiohttp.ClientError) as error:
            raise self._away(error) from error
        finally:
            if task is not None:
                task.cancel()
                with contextlib.suppress(BaseException):
                    loop.run_until_complete(task)
            with contextlib.suppress(Exception):
                loop.run_until_complete(lines.aclose())  # type: ignore[attr-defined]
            loop.close()
