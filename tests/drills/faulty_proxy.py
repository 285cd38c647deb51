"""A proxy before a storage server that can become as bad as networks and servers are."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

FAULTS = ("hangs", "refuses", "resets", "answers 503", "crawls")
_BUSY = (
    b"HTTP/1.1 503 Server Busy\r\nContent-Length: 0\r\nx-ms-error-code: ServerBusy\r\n"
    b"Connection: close\r\n\r\n"
)


class FaultyProxy:
    """`address` forwards to the server at `target` while `fault` is empty, else it

    - hangs: accepts connections and what they send, and never answers;
    - refuses: nothing listens;
    - resets: breaks every connection after a few bytes;
    - answers 503: as Azure does when it is busy;
    - crawls: passes on a hundred bytes a second.
    """

    def __init__(self, target: str) -> None:
        host, port = target.rsplit(":", 1)
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self.fault = ""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def become(self, fault: str) -> None:
        """From now on, `fault`; existing connections too. Empty: it works again."""
        was, self.fault = self.fault, fault
        if fault == "refuses":
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        elif was == "refuses":
            self._listener = socket.create_server(("127.0.0.1", self._port))
            threading.Thread(target=self._accept, daemon=True).start()
        if fault in ("refuses", "resets", "answers 503"):
            for one in self._open:
                _break(one)
        self._open.clear()

    def close(self) -> None:
        self.fault = "refuses"
        self._listener.close()
        for one in self._open:
            _break(one)

    def _accept(self) -> None:
        listener = self._listener
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client:
            with socket.create_connection(self._target) as server:
                self._open.append(server)
                up = threading.Thread(target=self._copy, args=(client, server, True), daemon=True)
                up.start()
                self._copy(server, client, False)
                up.join()

    def _copy(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(2**16):
                while self.fault == "hangs":
                    time.sleep(0.1)
                if self.fault == "resets":
                    target.sendall(content[:20])
                    break
                if self.fault == "answers 503":
                    if up:
                        source.sendall(_BUSY)
                    break
                while self.fault == "crawls" and content:
                    target.sendall(content[:10])
                    content = content[10:]
                    time.sleep(0.1)
                target.sendall(content)
        for one in (source, target):
            _break(one)


def _break(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(target)
    try:
        yield proxy
    finally:
        proxy.close()
