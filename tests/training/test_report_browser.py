"""report.html in a real browser: Chromium must be installed (Debian: chromium)."""

from __future__ import annotations

import json
import os
import re
import shutil
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
from command import run
from sample_run import CONFIG, failed, make_run

from savanna.report import write_report

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
    "--dump-dom",
)
# The page is in a frame, because a browser window cannot be as narrow as a phone.
WRAPPER = """<!doctype html>
<iframe style="border:0;width:%dpx;height:1600px" srcdoc="%s"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {
  const page = frame.contentDocument, boxes = {};
  for (const selector of %s) {
    boxes[selector] = [...page.querySelectorAll(selector)].map((e) => {
      const box = e.getBoundingClientRect();
      return [box.left, box.right, box.width, box.height];
    });
  }
  const found = document.createElement("pre");
  found.id = "probe";
  found.textContent = JSON.stringify({boxes, overflow: page.documentElement.scrollWidth});
  document.body.append(found);
});
</script>
"""


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.fail("Chromium is missing: apt-get install chromium")


def look(page: Path, width: int, selectors: list[str]) -> dict[str, Any]:
    """Boxes of the selected elements on a page `width` wide; fails on any console message."""
    probed = page.with_name("probed.html")
    probed.write_text(WRAPPER % (width, escape(page.read_text()), json.dumps(selectors)))
    profile = page.with_name("profile")
    command = [chromium(), *FLAGS, "--window-size=1300,1700", f"--user-data-dir={profile}"]
    environment = os.environ | {"HOME": str(page.parent)}
    done = run([*command, probed.as_uri()], check=True, env=environment)
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.S)
    assert found is not None, done.stdout[-2000:]
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result


@pytest.mark.parametrize("width", [1200, 400])
def test_the_report_is_laid_out_without_errors(tmp_path: Path, width: int) -> None:
    config = CONFIG | {"overrides": {"long_name" * 12: "long_value" * 30}}
    selectors = [
        ".card",
        "h1",
        ".sentence",
        ".tiles > div",
        "#return svg",
        ".line",
        ".band",
        ".reference",
        ".checkpoints table",
        ".three svg",
        "#configuration table",
        ".commands code",
        "summary",
    ]
    seen = look(write_report(make_run(tmp_path, config=config)), width, selectors)
    assert seen["overflow"] <= width  # nothing overflows sideways
    for selector in selectors:
        boxes = seen["boxes"][selector]
        assert boxes, selector
        # A horizontal line has no height of its own.
        assert all(box[2] > 5 for box in boxes), selector
    assert max(right for _, right, *_ in seen["boxes"][".card"]) <= width
    charts = seen["boxes"]["#return svg"]
    assert len(charts) == 2 and all(height > 150 for *_, height in charts)
    assert len(seen["boxes"][".three svg"]) == 11
    side_by_side = charts[0][1] <= charts[1][0]
    assert side_by_side == (width > 640)


def test_a_failed_run_shows_its_cause(tmp_path: Path) -> None:
    run = make_run(tmp_path, 0, status=failed(), evaluated=False)
    seen = look(write_report(run), 800, [".failure", "#return", ".commands code"])
    (box,) = seen["boxes"][".failure"]
    assert box[2] > 600 and box[3] > 80
    assert seen["boxes"]["#return"] == []
