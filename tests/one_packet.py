"""A proxy that delays reading: what the server sends within a moment arrives together."""

import contextlib
import socket
import threading
from collections.abc import Iterator

_MOMENT = 0.2  # seconds


@contextlib.contextmanager
def in_one_packet(address: str) -> Iterator[str]:
    """`HOST:PORT` of a proxy for the server at `address`.

    A busy machine reads "100 Continue" and the response proper at once. Azure's library for C++
    then misplaces the start of the second one's body.
    """
    host, port = address.rsplit(":", 1)

    def serve(client: socket.socket) -> None:
        with client, socket.create_connection((host, int(port))) as server:
            up = threading.Thread(target=_copy, args=(client, server, 0.0), daemon=True)
            up.start()
            _copy(server, client, _MOMENT)
            up.join()

    def accept() -> None:
        with contextlib.suppress(OSError):  # closed: the end
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)  # ends `accept`


def _copy(source: socket.socket, target: socket.socket, moment: float) -> None:
    """Forward what arrives until one side ends, each time with what follows within `moment`."""
    with contextlib.suppress(OSError):
        while content := source.recv(2**16):
            if moment:
                source.settimeout(moment)
                with contextlib.suppress(TimeoutError):
                    while more := source.recv(2**16):
                        content += more
                source.settimeout(None)
            target.sendall(content)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
