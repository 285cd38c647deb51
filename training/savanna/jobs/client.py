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
    """The cluster does not answer, or not sensibly: it may again in a moment."""


class UnknownJob(SavannaError):
    """The cluster answers, and does not know the job."""


class NoSuchFile(SavannaError):
    """The head has no file of that name among its logs."""


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
        try:
            response = super()._do_request(method, endpoint, **self._options, **options)
        except AuthenticationError:
            raise self._refused() from None
        except requests.RequestException as error:
            raise self._away(error) from error
        if response.status_code == 404 and endpoint.startswith("/api/jobs/"):
            raise UnknownJob(f"the cluster {self.cluster.name} knows no such job")
        if response.status_code >= 400 and method == "POST" and "already exists" in response.text:
            raise JobExists(f"the cluster {self.cluster.name} has this job already")
        if response.status_code >= 500:
            raise self._broken(response)
        return response

    def read_file(self, node: str, name: str, lines: int = -1) -> Iterator[bytes]:
        """The last `lines` lines (-1: all) of a file in a node's folder of logs, in small parts.

        Ray's State API reads `name` below that folder, through links too; in files that are no
        text, lines are what ends with a byte 10. `NoSuchFile` where there is none.
        """
        query = {"node_id": node, "filename": name, "lines": str(lines), "timeout": "86400"}
        # Not by Ray's own method, which reads every answer whole.
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
            # Not through a proxy, which would be sent the token.
            options["proxies"] = {"http": "", "https": "", "all": ""}
        return options

    @property
    def _where(self) -> str:
        return f"the cluster {self.cluster.name} at {self.cluster.address}"

    def _refused(self) -> SavannaError:
        return SavannaError(f"the cluster refused the token in {self.cluster.token_file}")

    def _away(self, error: BaseException) -> Unreachable:
        # A refused connection is no OSError subclass worth showing: its text is a page long.
        slow = isinstance(error, requests.Timeout)
        how = "did not answer in time" if slow else "cannot be reached"
        return Unreachable(f"{self._where} {how}. {HINT}")

    def _broken(self, response: requests.Response) -> Unreachable:
        lines = response.text.strip().splitlines() or [response.reason]
        return Unreachable(f"{self._where} answered {response.status_code}: {lines[-1][:300]}")

    def tail(self, job: str) -> Iterator[str | None]:
        """What a job's log gains, from its beginning until the job has ended.

        `None` whenever there was nothing new for a second.
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
