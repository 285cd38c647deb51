import os
import subprocess

import pytest
from docker_engine import ROOT


@pytest.fixture
def run_script():
    """Run one of our scripts with an environment of its own."""

    def run(script, *arguments, **environment):
        return subprocess.run(
            [ROOT / script, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            timeout=60,
        )

    return run
