"""Which tests may run beside each other.

`make test` runs two processes: containers wait more than they compute, so one process has all
tests of them, in turn, and the other takes everything else meanwhile, a file at a time.
"""

from xdist.scheduler import LoadScopeScheduling

# They share the names of containers, networks and machines, and the image. In this order: first
# what needs no image, while it is built; last but one what machines do by themselves after a
# minute or two, in which the images are tested.
CONTAINERS = (
    "tests/infra/test_network_",
    "tests/infra/boot/test_boot_render.py",
    "tests/infra/boot/test_machines.py",
    "tests/images/",
    "tests/infra/boot/test_machines.py::test_an_idle_head",
    "tests/infra/boot/test_machines.py::test_a_worker_without_a_head",
    "tests/cluster/",
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
"""Of seconds, though they start no process: `make test-quick` leaves them out."""


def place(nodeid: str) -> int | None:
    """Where a test of containers comes among them; `None` for any other test."""
    places = [place for place, start in enumerate(CONTAINERS) if nodeid.startswith(start)]
    return max(places, default=None)


class ContainersAside(LoadScopeScheduling):
    """Hands out whole files of tests, but all tests of containers as one."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("::", 1)[0] if place(nodeid) is None else "containers"
