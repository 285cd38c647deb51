"""What a run waits for while others use the cluster."""

import pytest

from savanna.ray_cluster.waiting import Reservation, Waiting, what_for

FOUR = {"CPU": 4.0, "GPU": 1.0}
PONG = Reservation("01", True, {"CPU": 3.0})
MINE = Reservation("02", False, {"CPU": 2.0})


@pytest.mark.parametrize(
    ("reservations", "free", "says"),
    [
        ([PONG, MINE], {"CPU": 1.0}, "3 of 4 CPUs are taken by pong-1"),
        ([MINE], {}, "4 of 4 CPUs are taken"),  # by someone else's tasks
        (
            [Reservation(job, True, {"CPU": 1.0}) for job in ("01", "03", "04", "05")] + [MINE],
            {},
            "4 of 4 CPUs are taken by pong-1, cartpole-1 and 2 more",
        ),
        (
            [
                Reservation("01", True, {"CPU": 1.0, "GPU": 1.0}),
                PONG,
                Reservation("02", False, {"CPU": 1.0, "GPU": 0.5}),
            ],
            {"CPU": 3.0},
            "1 of 1 GPUs are taken by pong-1",
        ),
        (
            [PONG, MINE],
            {"CPU": 2.0},
            "it needs 2 CPUs in all, and no node has room for one of its processes",
        ),
        ([PONG, MINE, Reservation("02", True, {"CPU": 1.0})], {}, None),  # a search's next trial
        ([PONG], {}, None),  # it has requested nothing yet
    ],
)
def test_what_a_job_waits_for(reservations, free, says):
    names = {"01": "pong-1", "03": "cartpole-1"}
    assert what_for("02", reservations, FOUR, free, names) == says


def test_it_is_said_once_until_it_changes_or_the_trial_starts(monkeypatch, capsys):
    now, reported = [0.0], []
    monkeypatch.setattr("savanna.ray_cluster.waiting.time.monotonic", lambda: now[0])
    monkeypatch.setattr(
        "savanna.ray_cluster.waiting.phases.report",
        lambda phase, **details: reported.append((phase, details.get("why"))),
    )
    passing = "of a moment: Ray has not yet placed what fits again"
    answers = iter(["a", "a", "a", passing, "b", "b", passing, None, "never asked"])
    waiting = Waiting(lambda: next(answers))
    for now[0] in range(2, 2 + 8 * 3):
        waiting.on_step_begin(0, [])
    assert capsys.readouterr().err == "Waiting: a.\nWaiting: b.\n"
    assert reported == [("waiting", "a"), ("waiting", "b"), ("starting", None)]
    waiting.on_trial_start(0, [], None)
    for now[0] in range(30, 60):
        waiting.on_step_begin(0, [])
    assert next(answers) == "never asked"


def test_not_to_know_ends_no_run():
    asked = []

    def look():
        asked.append(1)
        raise ConnectionError("no API server")

    waiting = Waiting(look)
    waiting._next = 0.0
    for _ in range(3):
        waiting.on_step_begin(0, [])
    assert len(asked) == 1
