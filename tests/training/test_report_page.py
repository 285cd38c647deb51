"""report.html as text: what it says about finished, running and failed runs."""

from __future__ import annotations

import base64
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from sample_run import CONFIG, failed, make_run, succeeded

from savanna.errors import SavannaError
from savanna.report import write_report
from savanna.report.film import EMBED_BYTES
from savanna.runs.directory import RunDirectory

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Balance(HTMLParser):
    """Checks that every element is closed, and collects what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [v or "" for k, v in attrs if k in ("src", "href", "poster", "srcset")]
        if tag not in VOID and not (self.get_starttag_text() or "").endswith("/>"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(run: RunDirectory) -> str:
    path = write_report(run)
    assert path == run.path / "report.html"
    page = path.read_text(encoding="utf-8")
    checker = Balance()
    checker.feed(page)
    assert checker.open == []
    assert all(load.startswith(("data:", "videos/")) for load in checker.loads)
    assert "<script" not in page and "@import" not in page and "url(" not in page
    return page


def text_of(page: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", page, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", body)))


def test_a_finished_run(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    text = text_of(page_of(run))
    final = run.metrics()[-1]
    assert f"mean return of {final['episode_return_mean']:.1f} after 524,288 agent steps" in text
    assert "Random play scores −20.7 and the target is 18." in text
    assert "target 18" in text and "random play −20.7" in text
    assert "It succeeded: the mean return reached 18. Started 2026-03-01 08:00 UTC" in text
    for title in (
        "Return over agent steps",
        "Return over training time",
        "Throughput",
        "CPU and memory",
        "Explained variance",
        "Entropy",
        "KL divergence",
    ):
        assert title in text
    best = run.checkpoint("best")
    assert f"{best.number} best" in text
    evaluation = run.read_json("evaluations.json")[best.number]
    assert f"{evaluation['mean']:.1f}" in text and "95 % interval" in text
    assert "entropy_coeff 0.02" in text
    assert "ray 2.60.0" in text and "Example CPU @ 2.5 GHz" in text and "memory 23.5 GiB" in text
    assert "Commit 0123456789ab , with changes that were not committed" in text
    assert (
        "savanna train pong --env PongNoFrameskip-v4 --seed 3 --set lr=0.0004 "
        "--set entropy_coeff=0.02 --stop return=18 --stop seconds=3600" in text
    )
    assert f"savanna train pong --resume pong/{run.id}" in text


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert page_of(run) == page_of(run)


def test_a_run_without_anything_but_its_config(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "pong" / "x")
    run.path.mkdir(parents=True)
    run.write_json("config.json", {"experiment": "pong"})
    text = text_of(page_of(run))
    assert "pong unknown" in text and "No iteration has been recorded." in text
    assert '<svg viewBox="0 0 460' not in (run.path / "report.html").read_text()


def test_a_crashed_run_says_why_before_anything_else(tmp_path: Path) -> None:
    run = make_run(tmp_path, 2, status=failed(), evaluated=False)
    page = page_of(run)
    text = text_of(page)
    assert "This run failed: an env runner died" in text
    assert "out of memory <12.1 of 12 GiB>" in text  # escaped, so the tag remover left it
    assert text.index("This run failed") < text.index("No episode has finished in 16,384")
    # nan returns: no return chart, but the others.
    assert 'id="return"' not in page and "Throughput" in text


def test_a_running_run_says_that_it_goes_on(tmp_path: Path) -> None:
    state = succeeded() | {"state": "running", "reason": "", "ended": None}
    text = text_of(page_of(make_run(tmp_path, 10, status=state)))
    assert "The run had not ended when this page was written." in text
    assert "ended None" not in text


def test_everything_from_the_run_is_escaped(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    config = CONFIG | {"env": evil, "overrides": {evil: evil}, "preset": {evil: evil}}
    status = failed() | {"reason": evil, "cause": evil}
    run = make_run(tmp_path, 5, config=config, status=status)
    run.write_json(
        "metadata.json",
        {
            "command": ["savanna", evil],
            "versions": {evil: evil},
            "hardware": {evil: evil},
            "git": {"sha": evil},
        },
    )
    page = page_of(run)
    assert evil not in page
    assert page.count("&lt;img src=x") >= 8


def test_the_random_line_belongs_to_the_experiments_own_environment(tmp_path: Path) -> None:
    own = make_run(tmp_path / "a")
    other = make_run(tmp_path / "b", config=CONFIG | {"env": "BreakoutNoFrameskip-v4"})
    unknown = make_run(tmp_path / "c", config=CONFIG | {"experiment": "mine"})
    assert "random play" in page_of(own)
    assert "random play" not in page_of(other)
    assert "random play" not in page_of(unknown)


def test_a_small_film_is_embedded_with_its_poster_and_a_large_one_linked(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.videos.mkdir()
    film = run.videos / "best film.mp4"
    film.write_bytes(b"film")
    film.with_suffix(".png").write_bytes(b"poster")
    page = page_of(run)
    assert f'src="data:video/mp4;base64,{base64.b64encode(b"film").decode()}"' in page
    assert f'poster="data:image/png;base64,{base64.b64encode(b"poster").decode()}"' in page
    with film.open("r+b") as handle:
        handle.truncate(EMBED_BYTES)
    page = page_of(run)
    assert 'src="videos/best%20film.mp4"' in page and "too large to embed" in page


def test_an_unreadable_run_and_an_unwritable_page_are_one_clear_line(tmp_path: Path) -> None:
    run = make_run(tmp_path, 3)
    (run.path / "report.html").mkdir()
    with pytest.raises(SavannaError, match=r"cannot write .*report\.html: Is a directory"):
        write_report(run)
    (run.path / "evaluations.json").write_text("{")
    with pytest.raises(SavannaError, match=r"evaluations\.json is not valid JSON"):
        write_report(run)
