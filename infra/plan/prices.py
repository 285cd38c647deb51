"""Azure's prices: a dated table, overridden by the user's own prices, and its refresh.

    python -m infra.plan.prices --refresh --region westeurope

A price's key names what is bought: `vm/SIZE`, `spot/SIZE`, `disk/P10`, `bastion/Standard`, ...
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("prices.json")
OVERRIDE = Path("prices.json")
"""Where `--refresh` writes prices, and where a team can write its own."""
HOURS_PER_MONTH = 730.0
"""As in Azure's own calculator: 365 days of 24 hours in 12 months."""
HOURS = {"hour": 1.0, "day": 24.0, "month": HOURS_PER_MONTH}
UNITS = (*HOURS, "gb")


class PricesError(Exception):
    """A price file that cannot be used; one line per problem."""


@dataclass(frozen=True)
class Price:
    """US dollars for one unit of what `key` names."""

    key: str
    region: str
    usd: float
    unit: str  # "hour", "day", "month", or "gb" of traffic
    source: str
    as_of: str  # ISO date

    @property
    def hourly(self) -> float:
        """US dollars per hour."""
        return self.usd / HOURS[self.unit]


@dataclass(frozen=True)
class PriceTable:
    """Prices by region and key; if a region lacks one, the base region's is used."""

    base_region: str
    note: str
    prices: Mapping[tuple[str, str], Price]

    def find(self, key: str, region: str) -> Price | None:
        """The price in `region`, else that of the base region (see its `region`), else None."""
        return self.prices.get((region, key)) or self.prices.get((self.base_region, key))

    def age_days(self, today: date) -> int:
        """The age of the oldest price."""
        oldest = min(price.as_of for price in self.prices.values())
        return (today - date.fromisoformat(oldest)).days


def load(override: Path | None = None) -> PriceTable:
    """The project's table, overridden by the prices in `override` (default: `OVERRIDE`, if any).

    Raises `PricesError` for an invalid file, and if a given file is missing.
    """
    table = _read(FILE)
    path = override or OVERRIDE
    if not path.exists():
        if override:
            raise PricesError(f"{path}: no such file")
        return table
    over = _read(path)
    return PriceTable(table.base_region, table.note, {**table.prices, **over.prices})


def _read(path: Path) -> PriceTable:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise PricesError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict) or not isinstance(content.get("regions"), dict):
        raise PricesError(f'{path}: write {{"as_of": DATE, "regions": {{REGION: {{KEY: ...}}}}}}')
    problems: list[str] = []
    as_of = str(content.get("as_of", ""))
    try:
        date.fromisoformat(as_of)
    except ValueError:
        problems.append(
            f"{path}: as_of {as_of!r}: write the date of the prices, such as 2026-11-21"
        )
    prices = {}
    for region, entries in content["regions"].items():
        for key, entry in entries.items():
            price = _price(region, key, entry, as_of)
            if price is None:
                problems.append(
                    f"{path}: {region} {key} {entry!r}: write [US dollars, unit, source] with a "
                    f"unit from {', '.join(UNITS)}"
                )
            else:
                prices[region, key] = price
    if problems:
        raise PricesError("\n".join(problems))
    return PriceTable(content.get("base_region", ""), content.get("note", ""), prices)


def _price(region: str, key: str, entry: Any, as_of: str) -> Price | None:
    match entry:
        case [float() | int() as usd, str(unit), str(source)] if unit in UNITS and usd >= 0:
            return Price(key, region, float(usd), unit, source, as_of)
    return None


if __name__ == "__main__":
    import sys

    from infra.plan.fetch_prices import main

    sys.exit(main())
