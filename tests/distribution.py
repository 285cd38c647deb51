"""Which tests may run beside each other.

`make test` runs two processes: containers wait more than they compute, so one process has all
tests of them, in turn, and the other takes everything else meanwhile, a file at a time.
"""

from xdist.scheduler import LoadScopeScheduling

# They share the names of containers, networks and machines, and the image.
CONTAINERS = ("tests/cluster/", "tests/images/", "tests/infra/boot/", "tests/infra/test_network_")

SLOW = (
    "tests/infra/operate/", "tests/infra/plan/", "tests/infra/programs/test_arm",
    "tests/infra/programs/test_program_nodes", "tests/training/particle/test_equivalence",
    "tests/training/test_atari_env", "tests/training/test_check_env",
    "tests/training/test_fragment",
    "tests/training/test_impala_learner", "tests/training/test_maddpg_learn",
    "tests/training/test_recording_mlflow", "tests/training/test_video_and_export",
)  # fmt: skip
"""Of seconds, though they start no process: `make test-quick` leaves them out."""


def of_containers(nodeid: str) -> bool:
    return nodeid.startswith(CONTAINERS)


class ContainersAside(LoadScopeScheduling):
    """Hands out whole files of tests, but all tests of containers as one."""

    def _split_scope(self, nodeid: str) -> str:
        return "containers" if of_containers(nodeid) else nodeid.split("::", 1)[0]
