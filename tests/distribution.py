"""Which tests may run at the same time.

`make test` runs two processes. Containers wait more than they compute, so one process runs all
tests with containers, one after the other, while the second runs the rest, one file at a time.
"""

from xdist.scheduler import LoadScopeScheduling

# These share the image and the names of containers, networks and machines. They run in this order:
# first those that need no image, while it is built; then, before the cluster, what machines do by
# themselves after a minute or two, during which the images are tested.
CONTAINERS = (
    "tests/infra/test_network_",
    "tests/infra/boot/test_boot_render.py",
    "tests/infra/boot/test_machines.py",
    "tests/images/",
    "tests/infra/boot/test_machines.py::test_an_idle_head",
    "tests/infra/boot/test_machines.py::test_a_worker_without_a_head",
    "tests/cluster/",
    "tests/drills/test_drill_cluster.py",
)

SLOW = (
    "tests/infra/operate/",
    "tests/infra/plan/",
    "tests/infra/programs/test_arm",
    "tests/infra/programs/test_program_nodes",
    "tests/training/particle/test_equivalence",
    "tests/training/test_atari_env",
    "tests/training/test_check_env",
    "tests/training/test_fragment",
    "tests/training/test_impala_learner",
    "tests/training/test_maddpg_learn",
    "tests/training/test_mlflow_database",
    "tests/training/test_recording_mlflow",
    "tests/training/test_video_and_export",
)
"""Tests that take seconds although they start no process; `make test-quick` leaves them out."""


def place(nodeid: str) -> int | None:
    """The position of a test with containers; `None` for any other test."""
    places = [place for place, start in enumerate(CONTAINERS) if nodeid.startswith(start)]
    return max(places, default=None)


class ContainersAside(LoadScopeScheduling):
    """Hands out whole files of tests, all tests with containers as one, and drills one by one."""

    def _split_scope(self, nodeid: str) -> str:
        if place(nodeid) is not None:
            return "containers"
        return nodeid if nodeid.startswith("tests/drills/") else nodeid.split("::", 1)[0]
