import os

import pytest
from command import ROOT, run


@pytest.fixture
def run_script():
    """Run one of our scripts with extra environment variables."""

    def run_it(script, *arguments, **environment):
        return run([ROOT / script, *arguments], env={**os.environ, **environment}, timeout=60)

    return run_it
