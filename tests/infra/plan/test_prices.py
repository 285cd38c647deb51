"""The price table, the user's own prices, and the refresh against a stub of Azure's API."""

import json
import re
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.plan.fetch_prices import fetch, main
from infra.plan.prices import FILE, HOURS_PER_MONTH, PricesError, load


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def item(**values: object) -> dict:
    """One item of the API, with the fields of its documentation."""
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "unitPrice": values["retailPrice"],
        "armRegionName": "westeurope",
        "location": "EU West",
        "isPrimaryMeterRegion": True,
        "type": "Consumption",
        "unitOfMeasure": "1 Hour",
        **values,
    }


def vm(name: str, price: float, words: str = "", product: str = "Dasv6 Series") -> dict:
    short = name.removeprefix("Standard_").replace("_", " ") + words
    return item(
        serviceName="Virtual Machines",
        armSkuName=name,
        retailPrice=price,
        skuName=short,
        meterName=short,
        productName=f"Virtual Machines {product}",
    )


ITEMS = [
    vm("Standard_D4as_v6", 0.21),
    vm("Standard_D4as_v6", 0.04, " Spot"),
    vm("Standard_D4as_v6", 0.05, " Low Priority"),
    vm("Standard_D4as_v6", 0.39, product="Dasv6 Series Windows"),
    item(
        serviceName="Storage",
        productName="Standard SSD Managed Disks",
        skuName="E10 LRS",
        meterName="E10 LRS Disk",
        retailPrice=10.5,
        unitOfMeasure="1/Month",
    ),
    item(
        serviceName="Storage",
        productName="Standard SSD Managed Disks",
        skuName="E10 LRS",
        meterName="E10 LRS Disk Operations",
        retailPrice=0.002,
        unitOfMeasure="10K",
    ),
    item(
        serviceName="Storage",
        productName="Standard SSD Managed Disks",
        skuName="E10 ZRS",
        meterName="E10 ZRS Disk",
        retailPrice=15.5,
        unitOfMeasure="1/Month",
    ),
    item(
        serviceName="NAT Gateway",
        productName="NAT Gateway",
        meterName="Standard Gateway",
        retailPrice=0.045,
        armRegionName="Global",
    ),
    item(
        serviceName="Azure Bastion",
        productName="Azure Bastion",
        meterName="Standard Gateway",
        retailPrice=0.5,
        armRegionName="Global",
    ),
    item(
        serviceName="Azure Bastion",
        productName="Azure Bastion",
        meterName="Standard Gateway",
        retailPrice=0.29,
    ),
    item(
        serviceName="Container Registry",
        productName="Container Registry",
        meterName="Standard Registry Unit",
        retailPrice=0.6667,
        unitOfMeasure="1/Day",
    ),
    item(
        serviceName="Storage",
        skuName="Hot LRS",
        meterName="Hot LRS Data Stored",
        productName="Azure Data Lake Storage Gen2 Hierarchical Namespace",
        retailPrice=0.02,
        unitOfMeasure="1 GB/Month",
    ),
    item(
        serviceName="Storage",
        skuName="Hot LRS",
        meterName="Hot LRS Data Stored",
        productName="Azure Data Lake Storage Gen2 Hierarchical Namespace",
        retailPrice=0.01,
        unitOfMeasure="1 GB/Month",
        tierMinimumUnits=51200.0,
    ),
]


class Stub(BaseHTTPRequestHandler):
    """Filters like OData, for the operators that are used, with two items per page."""

    def do_GET(self):
        query = parse_qs(urlsplit(self.path).query)
        text, skip = query["$filter"][0], int(query.get("$skip", ["0"])[0])
        self.server.filters.append(text)
        regions = set(re.findall(r"armRegionName eq '([^']*)'", text))
        wanted = dict(re.findall(r"(\w+) eq '([^']*)'", re.sub(r"\(.*?\)", "", text)))
        wanted.pop("armRegionName", None)
        assert wanted.pop("priceType") == "Consumption"
        found = [
            one
            for one in ITEMS
            if one["armRegionName"] in regions
            and all(one.get(key) == value for key, value in wanted.items())
        ]
        more = len(found) > skip + 2
        shown = found[skip : skip + 2]
        page = {
            "BillingCurrency": "USD",
            "CustomerEntityId": "Default",
            "Items": shown,
            "CustomerEntityType": "Retail",
            "Count": len(shown),
            "NextPageLink": f"{self.server.url}{self.path.split('&$skip')[0]}&$skip={skip + 2}"
            if more
            else None,
        }
        body = b"<html>" if self.server.broken else json.dumps(page).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def api():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    server.url = f"http://127.0.0.1:{server.server_port}"
    server.filters, server.broken = [], False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_table_is_whole_and_says_where_each_price_is_from():
    content = json.loads(FILE.read_text())
    table = load()
    assert table.base_region in content["regions"] and table.note
    sources = {price.source for price in table.prices.values()}
    assert sources == set(content["sources"])
    for kind in ("vm/Standard_NC8as_T4_v3", "nat-gateway", "bastion/Standard", "disk/E10"):
        assert table.find(kind, table.base_region).usd > 0
    for (region, key), price in table.prices.items():
        if key.startswith("spot/"):
            assert price.usd < table.find(key.replace("spot/", "vm/"), region).usd


def test_a_region_without_a_price_gets_the_base_regions_and_says_so():
    table = load()
    assert table.find("nat-gateway", "norwayeast").region == table.base_region
    assert table.find("vm/Standard_Nonsense", "eastus") is None


def test_own_prices_go_over_the_table(tmp_path):
    own = tmp_path / "own.json"
    own.write_text(
        json.dumps(
            {
                "as_of": "2026-11-01",
                "regions": {"eastus": {"nat-gateway": [0.01, "hour", "our contract"]}},
            }
        )
    )
    table = load(own)
    assert table.find("nat-gateway", "eastus").usd == 0.01
    assert table.find("public-ip", "eastus") == load().find("public-ip", "eastus")
    own.rename(tmp_path / "prices.json")
    assert load().find("nat-gateway", "eastus").source == "our contract"
    assert load().age_days(date(2026, 12, 1)) == 30


def test_everything_wrong_with_own_prices_is_said_at_once(tmp_path):
    own = tmp_path / "own.json"
    with pytest.raises(PricesError, match=r"own\.json: no such file"):
        load(own)
    own.write_text(
        json.dumps(
            {
                "as_of": "lately",
                "regions": {"eastus": {"nat-gateway": 0.01, "public-ip": [1, "fortnight", "x"]}},
            }
        )
    )
    with pytest.raises(PricesError) as caught:
        load(own)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3 and "'lately'" in lines[0] and "fortnight" in lines[2]


def test_units_come_to_the_same_hour(tmp_path):
    table = load()
    registry, disk = table.find("registry/Standard", "eastus"), table.find("disk/E10", "eastus")
    assert registry.hourly == pytest.approx(registry.usd / 24)
    assert disk.hourly == pytest.approx(disk.usd / HOURS_PER_MONTH)


def test_a_refresh_picks_the_right_meters_over_all_pages(api):
    assert fetch("westeurope", ["Standard_D4as_v6"], api.url) == {
        "vm/Standard_D4as_v6": [0.21, "hour", "api"],
        "spot/Standard_D4as_v6": [0.04, "hour", "api"],
        "disk/E10": [10.5, "month", "api"],
        "nat-gateway": [0.045, "hour", "api"],
        "bastion/Standard": [0.29, "hour", "api"],
        "registry/Standard": [0.6667, "day", "api"],
        "storage-gb/Hot LRS": [0.02, "month", "api"],
    }


def test_a_refreshed_file_is_what_plans_count_with(api, capsys):
    assert main(["--refresh", "--region", "westeurope", "--api", api.url]) == 0
    out, err = capsys.readouterr()
    assert out.strip() == "prices.json"
    assert "the API does not know" in err and "public-ip" in err
    found = load().find("vm/Standard_D4as_v6", "westeurope")
    assert (found.usd, found.region, found.source) == (0.21, "westeurope", "api")


def test_an_api_that_fails_changes_nothing(api, tmp_path, capsys):
    api.broken = True
    assert main(["--refresh", "--region", "westeurope", "--api", api.url]) == 1
    assert "Nothing was changed" in capsys.readouterr().err
    assert main(["--refresh", "--region", "westeurope", "--api", "http://127.0.0.1:9"]) == 1
    assert not (tmp_path / "prices.json").exists()


def test_without_refresh_the_prices_are_shown(capsys):
    assert main(["--region", "westus2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines and all(line.startswith("westus2 ") for line in lines)
