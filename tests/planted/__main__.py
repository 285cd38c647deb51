"""`python -m tests.planted`: plant every defect in turn, and check that the tests catch it."""

from __future__ import annotations

import argparse
import json
import queue
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .defects import Defect, ListError, load
from .running import Outcome, copy_checkout, images_kept, run_tests

ROOT = Path(__file__).parents[2]
T, R = TypeVar("T"), TypeVar("R")
GOOD = ("caught", "caught: timed out")


@dataclass(frozen=True)
class Verdict:
    """The verdict on a defect."""

    defect: Defect
    result: str  # one of GOOD, or what is wrong
    by: str = ""  # the test that caught it
    why: str = ""  # and its message
    seconds: float = 0.0

    def row(self) -> dict[str, str | float]:
        one = self.defect
        return {
            "name": one.name,
            "what": one.what,
            "file": one.file,
            "needs": one.needs,
            "result": self.result,
            "by": self.by,
            "why": self.why,
            "seconds": round(self.seconds, 1),
        }


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m tests.planted", description=__doc__, allow_abbrev=False
    )
    made.add_argument("--only", metavar="PATTERN", help="only those whose name or file matches")
    made.add_argument("--list", action="store_true", help="list them, run nothing")
    made.add_argument(
        "--containers",
        action=argparse.BooleanOptionalAction,
        help="only those whose tests start containers, or all others (default: all)",
    )
    made.add_argument(
        "--workers",
        type=int,
        default=2,
        metavar="N",
        help="how many at a time; those with containers run one by one (default: %(default)s)",
    )
    made.add_argument(
        "--limit",
        type=float,
        default=600,
        metavar="SECONDS",
        help="limit for the tests of one defect, tripled for containers (default: %(default)g)",
    )
    made.add_argument(
        "--no-clean-run",
        action="store_true",
        help="do not first check that the tests pass without any defect",
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="also write the table as JSON")
    return made


def chosen(defects: list[Defect], options: argparse.Namespace) -> list[Defect]:
    return [
        one
        for one in defects
        if (options.containers is None or options.containers == (one.needs == "containers"))
        and (not options.only or re.search(options.only, f"{one.name} {one.file}"))
    ]


class Runner:
    """Plants defects in copies of the checkout at `root`, one copy per worker."""

    def __init__(self, root: Path, folder: Path, workers: int, limit: float) -> None:
        self.limit, self.workers = limit, workers
        self.copies: queue.Queue[Path] = queue.Queue()
        for number in range(workers):
            self.copies.put(copy_checkout(root, folder / f"copy-{number}"))

    def in_copy(self, work: Callable[[Path], Outcome]) -> Outcome:
        copy = self.copies.get()
        try:
            return work(copy)
        finally:
            self.copies.put(copy)

    def each(self, work: Callable[[T], R], given: Sequence[T]) -> Iterator[R]:
        """The results in order, with as many at a time as there are copies."""
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                yield from pool.map(work, given)
            except BaseException:  # Ctrl-C reaches the tests too; none may start after it
                pool.shutdown(cancel_futures=True)
                raise

    def limit_of(self, needs: str) -> float:
        return self.limit * (3 if needs == "containers" else 1)

    def red(self, defects: list[Defect]) -> set[str]:
        """Names of defects whose tests already fail without them, so that a failure proves nothing.

        Each test runs once, all those of a file together; tests with containers run as their entry
        lists them, because they may depend on earlier ones.
        """
        needs = defects[0].needs if defects else ""
        jobs: dict[str, dict[str, None]] = {}
        for one in defects:
            for test in one.tests:
                job = " ".join(one.tests) if needs == "containers" else test.partition("::")[0]
                jobs.setdefault(job, {})[test] = None

        def run(job: str) -> tuple[str, Outcome]:
            tests = [job] if job in jobs[job] else list(jobs[job])
            limit = self.limit_of(needs) * 3
            return job, self.in_copy(lambda copy: run_tests(copy, tests, limit, first=False))

        found = set()
        for job, outcome in self.each(run, list(jobs)):
            tell(f"{'green' if outcome.green else 'RED':9} {outcome.seconds:6.1f} s  {job}")
            if outcome.green:
                continue
            tell(outcome.said)
            bad = outcome.failed if outcome.failed and not outcome.late else tuple(jobs[job])
            found |= {
                one.name
                for one in defects
                if any(b.startswith(t) or t.startswith(b) for t in one.tests for b in bad)
            }
        return found

    def verdict(self, defect: Defect) -> Verdict:
        def work(copy: Path) -> Outcome:
            with defect.planted(copy):
                return run_tests(copy, list(defect.tests), self.limit_of(defect.needs))

        outcome = self.in_copy(work)
        if outcome.failed:
            result, by = "caught", outcome.failed[0]
        elif outcome.late:
            result, by = "caught: timed out", ""
        elif outcome.green:
            result, by = "SURVIVED", ""
        else:
            result, by = "tests do not run", ""
            tell(outcome.said)
        tell(f"{result:9} {outcome.seconds:6.1f} s  {defect.name}  {by}  {outcome.why}")
        return Verdict(defect, result, by, outcome.why, outcome.seconds)


def judge(root: Path, defects: list[Defect], options: argparse.Namespace) -> list[Verdict]:
    """A verdict on each defect, in the same order."""
    verdicts = {}
    for one in defects:
        if problem := one.problem(root):
            tell(problem)
            verdicts[one.name] = Verdict(one, "DOES NOT APPLY")
    sound = [one for one in defects if one.name not in verdicts]
    containers = [one for one in sound if one.needs == "containers"]
    others = [one for one in sound if one.needs != "containers"]
    with tempfile.TemporaryDirectory(prefix="savanna-planted-") as folder:
        for number, group in enumerate((others, containers)):
            if not group:
                continue
            place = Path(folder) / str(number)
            place.mkdir()
            with images_kept() if group is containers else nullcontext():
                workers = 1 if group is containers else options.workers
                runner = Runner(root, place, workers, options.limit)
                red = set() if options.no_clean_run else runner.red(group)
                verdicts |= {
                    one.name: Verdict(one, "RED WITHOUT IT") for one in group if one.name in red
                }
                todo = [one for one in group if one.name not in red]
                verdicts |= {v.defect.name: v for v in runner.each(runner.verdict, todo)}
    return [verdicts[one.name] for one in defects]


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def show(verdicts: list[Verdict]) -> None:
    width = max(len(v.defect.name) for v in verdicts)
    for v in verdicts:
        print(f"{v.result:19} {v.seconds:6.1f} s  {v.defect.name:{width}}  {v.by or v.defect.file}")
    missed = [v for v in verdicts if v.result not in GOOD]
    print(f"{len(verdicts) - len(missed)} of {len(verdicts)} caught")


def main(argv: list[str] | None = None, root: Path = ROOT, folder: Path | None = None) -> int:
    """Exit code 0: all are caught, 1: some are not, 2: wrong use."""
    options = parser().parse_args(argv)
    try:
        defects = chosen(load(folder) if folder else load(), options)
    except ListError as error:
        tell(str(error))
        return 2
    if not defects:
        tell(f"planted: no defect matches {options.only!r}")
        return 2
    if options.list:
        for one in defects:
            print(f"{one.name}  {one.file}  {one.needs}\n    {one.what}\n    {' '.join(one.tests)}")
        return 0
    try:
        verdicts = judge(root, defects, options)
    except subprocess.CalledProcessError as error:
        tell(f"planted: cannot copy the checkout: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    show(verdicts)
    if options.json:
        options.json.write_text(json.dumps([v.row() for v in verdicts], indent=2) + "\n")
    return 0 if all(v.result in GOOD for v in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
