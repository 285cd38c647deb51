"""`make bench`: compares our speed with stock RLlib's in one run, kept in docs/performance.md.

The candidates run in turn, each in its own processes, for several rounds; medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

from benchmarks.page import hardware, keep

CANDIDATES = {
    "raw": "raw emulator (AtariVectorEnv, all cores, no learning)",
    "stock": "stock RLlib 2.60, its Pong settings, one pass",
    "stock-local": "the same, with its learner in the driver's process",
    "one-pass": "ours, one pass, small network",
    "preset": "ours, the shipped `pong` preset",
}


def measure(what: str, seconds: float) -> dict[str, float]:
    print(f"measuring {CANDIDATES[what]} ...", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", "benchmarks.measure", what, str(seconds)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        sys.exit(f"{what} failed:\n{result.stderr[-3000:]}")
    found: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=40, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="each candidate runs once per round")
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {what: [] for what in CANDIDATES}
    for _ in range(options.rounds):
        for what in CANDIDATES:
            found[what].append(measure(what, options.seconds))
    median = {
        what: {k: statistics.median(m[k] for m in several) for k in several[0]}
        for what, several in found.items()
    }
    raw = median["raw"]["sampled"]
    lines = [
        "| agent steps per second | sampled | trained | trained, share of the raw emulator |",
        "| --- | ---: | ---: | ---: |",
    ]
    for what, name in CANDIDATES.items():
        sampled, trained = median[what]["sampled"], median[what].get("trained")
        share = "" if trained is None else f"{trained / raw:.0%}"
        lines.append(
            f"| {name} | {sampled:,.0f} | {'' if trained is None else f'{trained:,.0f}'} "
            f"| {share} |"
        )
    ours, stock = median["one-pass"]["trained"], median["stock"]["trained"]
    last = f"trained agent steps/s: ours {ours:.0f}, stock {stock:.0f}, ratio {ours / stock:.2f}"
    print("\n".join(lines))
    how = f"Medians (rounds: {options.rounds}, {options.seconds:g} s each)"
    keep("bench", "\n".join([*lines, "", last, "", hardware(how)]))
    print(last)


if __name__ == "__main__":
    main()
