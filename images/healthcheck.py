"""Exit 0 if Ray works on this node: the raylet, and on a head also the control store.

Uses only the standard library, because it runs every few seconds beside training.
"""

import sys
import urllib.error
import urllib.request
from pathlib import Path


def healthy(url: str) -> bool:
    """Whether `url` answers 200. Ray's health endpoints need no token."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def main() -> int:
    facts = dict(
        line.split("=", 1)
        for line in Path("/opt/savanna/cluster.env").read_text().splitlines()
        if line and not line.startswith("#")
    )
    role_file = Path("/tmp/savanna-role")
    if not role_file.exists():
        return 0  # a plain command: it is healthy as long as it runs
    checks = [f"http://127.0.0.1:{facts['DASHBOARD_AGENT_HTTP_PORT']}/api/local_raylet_healthz"]
    if role_file.read_text().strip() == "head":
        checks.append(f"http://127.0.0.1:{facts['DASHBOARD_PORT']}/api/gcs_healthz")
    failed = [url for url in checks if not healthy(url)]
    print("\n".join(f"no answer from {url}" for url in failed) or "healthy")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
