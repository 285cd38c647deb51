"""Fetch today's prices from Azure's public Retail Prices API, which needs no account.

Service, product, SKU and meter names identify a meter; the API has no key for "a Linux machine of
this size" (Windows, spot and low priority differ only by words in the names).
Documented at learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from infra.plan.prices import OVERRIDE, load

API = "https://prices.azure.com/api/retail/prices"
Item = dict[str, Any]
UNITS = {
    "1 Hour": "hour",
    "1/Hour": "hour",
    "1/Day": "day",
    "1/Month": "month",
    "1 GB": "gb",
    "1 GB/Month": "month",
}


@dataclass(frozen=True)
class Query:
    """What to ask for in a region, and how to get the price keys of the returned items."""

    filter: str
    key: Callable[[Item], str]  # empty: none of ours
    everywhere: bool = False  # same price everywhere, listed without a region


def _vm_key(item: Item) -> str:
    names = f"{item.get('productName')} {item.get('skuName')} {item.get('meterName')}"
    if "Windows" in names or "Low Priority" in names or "Cloud Services" in names:
        return ""
    kind = "spot" if "Spot" in names else "vm"
    return f"{kind}/{item.get('armSkuName')}"


def _disk_key(item: Item) -> str:
    tier, _, rest = str(item.get("meterName")).partition(" ")
    return f"disk/{tier}" if rest == "LRS Disk" and tier[:1] in "PE" else ""


def _named(keys: dict[str, str]) -> Callable[[Item], str]:
    return lambda item: keys.get(str(item.get("meterName")), "")


def queries(sizes: list[str]) -> list[Query]:
    """Everything that a plan may need for one region."""
    tiers = ("Basic", "Standard", "Premium")
    return [
        *(
            Query(f"serviceName eq 'Virtual Machines' and armSkuName eq '{size}'", _vm_key)
            for size in sizes
        ),
        *(
            Query(f"serviceName eq 'Storage' and productName eq '{product}'", _disk_key)
            for product in ("Premium SSD Managed Disks", "Standard SSD Managed Disks")
        ),
        Query(
            "serviceName eq 'NAT Gateway'",
            _named(
                {"Standard Gateway": "nat-gateway", "Standard Data Processed": "nat-gateway-gb"}
            ),
            everywhere=True,
        ),
        Query(
            "serviceName eq 'Virtual Network' and productName eq 'IP Addresses'",
            _named({"Standard IPv4 Static Public IP": "public-ip"}),
            everywhere=True,
        ),
        Query(
            "serviceName eq 'Azure Bastion'",
            _named({f"{tier} Gateway": f"bastion/{tier}" for tier in tiers}),
            everywhere=True,
        ),
        Query(
            "serviceName eq 'Container Registry'",
            _named({f"{tier} Registry Unit": f"registry/{tier}" for tier in tiers}),
        ),
        Query(
            "serviceName eq 'Storage' and skuName eq 'Hot LRS' and productName eq "
            "'Azure Data Lake Storage Gen2 Hierarchical Namespace'",
            _named({"Hot LRS Data Stored": "storage-gb/Hot LRS"}),
        ),
    ]


def fetch(region: str, sizes: list[str], api: str = API) -> dict[str, list[Any]]:
    """Prices in `region` by key, in the format of `prices.json`: `[US dollars, unit, source]`.

    Raises `OSError` if the API does not answer, `ValueError` if the answer is unexpected.
    """
    found: dict[str, list[Any]] = {}
    for query in queries(sizes):
        where = f"armRegionName eq '{region}'"
        if query.everywhere:
            where = f"({where} or armRegionName eq 'Global' or armRegionName eq '')"
        for item in _items(f"{query.filter} and {where} and priceType eq 'Consumption'", api):
            key, unit = query.key(item), UNITS.get(str(item.get("unitOfMeasure")))
            # For tiered prices, the first unit counts. A region's own price beats the global one.
            if not key or not unit or item.get("tierMinimumUnits", 0) > 0:
                continue
            if key in found and item.get("armRegionName") != region:
                continue
            found[key] = [item["retailPrice"], unit, "api"]
    return found


def _items(filter_: str, api: str) -> Iterator[Item]:
    url: str | None = f"{api}?{urllib.parse.urlencode({'$filter': filter_, 'currencyCode': 'USD'})}"
    while url:
        with urllib.request.urlopen(url, timeout=30) as response:
            page = json.load(response)
        if "Items" not in page:
            raise ValueError("the price API's answer has no Items: has it changed?")
        yield from page["Items"]
        url = page.get("NextPageLink")


def main(argv: list[str] | None = None) -> int:
    table = load()
    known = sorted({region for region, _ in table.prices})
    parser = argparse.ArgumentParser(
        prog="python -m infra.plan.prices",
        description="Show the prices that `make plan` uses, or fetch today's.",
        allow_abbrev=False,
    )
    parser.add_argument("--refresh", action="store_true", help="ask Azure's price API (no account)")
    parser.add_argument(
        "--region",
        action="append",
        metavar="NAME",
        help=f"Azure region; may be repeated (default: {', '.join(known)})",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=OVERRIDE,
        help="file to write; `make plan` reads the default, %(default)s, before its own table",
    )
    parser.add_argument("--api", default=API, help="default: %(default)s")
    options = parser.parse_args(argv)
    regions = options.region or known
    if not options.refresh:
        for (region, key), price in sorted(table.prices.items()):
            if region in regions:
                print(
                    f"{region:16} {key:32} {price.usd:>10.4f} per {price.unit:5} {price.source:10} "
                    f"{price.as_of}"
                )
        return 0
    sizes = sorted({key.split("/")[1] for _, key in table.prices if key.startswith("vm/")})
    wanted = {key for _, key in table.prices if not key.startswith("spot/")}
    content: dict[str, Any] = {"as_of": datetime.now(UTC).date().isoformat(), "regions": {}}
    try:
        for region in regions:
            found = fetch(region, sizes, options.api)
            print(f"{region}: {len(found)} prices", file=sys.stderr)
            if missing := sorted(wanted - found.keys()):
                print(f"{region}: the API does not know {', '.join(missing)}", file=sys.stderr)
            content["regions"][region] = dict(sorted(found.items()))
    except (OSError, ValueError) as error:
        print(f"prices: {error}. Nothing was changed.", file=sys.stderr)
        return 1
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(content, indent=1) + "\n")
    print(options.output)
    return 0
