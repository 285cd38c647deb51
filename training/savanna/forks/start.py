"""Ray's raylet runs this for every worker process, in place of Ray's own `setup_worker.py`.

It passes the worker's command line, environment and output to the template (see `template.py`),
which forks. A worker that needs more than that starts as it would without us. Imports little, and
only from the standard library: every worker waits for this.
"""

import json
import os
import socket
import sys
from typing import Any

VARIABLE = "SAVANNA_WORKER_TEMPLATE"
"""Environment variable with the path of the socket on which the template listens."""

CONTEXT, LANGUAGE = "--serialized-runtime-env-context=", "--language="


def main(given: list[str]) -> None:
    path = os.environ.get(VARIABLE)
    context = context_of(given)
    if path and is_plain(context) and f"{LANGUAGE}PYTHON" in given:
        for name, value in (context.get("env_vars") or {}).items():
            os.environ[name] = os.path.expandvars(value)  # as Ray does
        try:
            ask(path, [w for w in given if not w.startswith((CONTEXT, LANGUAGE))])
            return
        except OSError as error:
            print(f"starting a worker without the template: {error}", file=sys.stderr)
    from ray._private.workers import setup_worker

    script = str(setup_worker.__file__)
    os.execv(sys.executable, [sys.executable, script, *given])


def context_of(given: list[str]) -> dict[str, Any]:
    """The worker's runtime environment in Ray's sense: variables and the start of its command.

    Ray Tune gives one, with a variable, to every trial.
    """
    contexts = [word.removeprefix(CONTEXT) for word in given if word.startswith(CONTEXT)]
    return json.loads(contexts[0]) if contexts else {}


def is_plain(context: dict[str, Any]) -> bool:
    """Whether it wants this Python, and nothing before or around its command."""
    python = context.get("py_executable") or sys.executable
    others = (v for k, v in context.items() if k not in ("py_executable", "env_vars"))
    return python == sys.executable and not any(others)


def ask(path: str, arguments: list[str]) -> None:
    """Have the template fork the worker; `OSError` if it did not."""
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}  # noqa: PTH109
    content = json.dumps(request).encode() + b"\0"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(path)
        sent = socket.send_fds(connection, [content], [0, 1, 2])
        connection.sendall(content[sent:])
        if not connection.recv(32):
            raise OSError("it did not answer")


if __name__ == "__main__":
    main(sys.argv[1:])
