"""An image's contents and origin: `python images/describe.py sbom|provenance IMAGE`.

`sbom` prints a CycloneDX bill of materials of its Debian and Python packages, `provenance` an
in-toto statement with a SLSA v1 predicate. Both read the image itself, with Docker.
"""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from typing import Any

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

DOCKER = os.environ.get("DOCKER", "docker")

_PYTHON = """import importlib.metadata as m
for d in m.distributions(): print(d.metadata["Name"], d.version)"""


def _lines(*command: str) -> list[str]:
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return result.stdout.splitlines()


def inspect(image: str) -> dict[str, Any]:
    """`docker image inspect`."""
    content: dict[str, Any] = json.loads("".join(_lines(DOCKER, "image", "inspect", image)))[0]
    return content


def sbom(image: str) -> str:
    """CycloneDX 1.6 as JSON."""
    run = (DOCKER, "run", "--rm", "--network=none", "--entrypoint")
    debian = _lines(*run, "dpkg-query", image, "-W", "-f=${Package} ${Version}\\n")
    python = _lines(*run, "python", image, "-c", _PYTHON)
    bom = Bom()
    labels = inspect(image)["Config"]["Labels"]
    bom.metadata.component = Component(
        name=image,
        type=ComponentType.CONTAINER,
        version=labels["org.opencontainers.image.revision"],
    )
    for kind, namespace, lines in (("deb", "debian", debian), ("pypi", None, python)):
        for line in sorted(set(lines)):
            name, version = line.split()
            purl = PackageURL(type=kind, namespace=namespace, name=name, version=version)
            component = Component(
                name=name,
                version=version,
                type=ComponentType.LIBRARY,
                purl=purl,
                bom_ref=purl.to_string(),
            )
            bom.components.add(component)
    bom.register_dependency(bom.metadata.component, bom.components)
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return text


def provenance(image: str) -> str:
    """https://slsa.dev/spec/v1.0/provenance: what was built, from which commit and by whom."""
    details = inspect(image)
    labels = details["Config"]["Labels"]
    server, repository = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    source = f"git+{server}/{repository}" if server and repository else "git+local"
    run = os.environ.get("GITHUB_RUN_ID")
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": image, "digest": {"sha256": details["Id"].removeprefix("sha256:")}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "images/build.sh",
                "externalParameters": {"flavour": labels["savanna.flavour"]},
                "resolvedDependencies": [
                    {
                        "uri": source,
                        "digest": {"gitCommit": labels["org.opencontainers.image.revision"]},
                    }
                ],
            },
            "runDetails": {
                "builder": {"id": f"{source}/actions/runs/{run}" if run else "a local machine"},
                "metadata": {
                    "startedOn": details["Created"],
                    "finishedOn": datetime.datetime.now(datetime.UTC).isoformat(),
                },
            },
        },
    }
    return json.dumps(statement, indent=2)


def main(arguments: list[str]) -> int:
    kinds = {"sbom": sbom, "provenance": provenance}
    if len(arguments) != 2 or arguments[0] not in kinds:
        print("usage: python images/describe.py sbom|provenance IMAGE", file=sys.stderr)
        return 2
    try:
        print(kinds[arguments[0]](arguments[1]))
    except subprocess.CalledProcessError as error:
        print(f"images/describe.py: {error.stderr.strip()}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
