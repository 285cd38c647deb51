"""What the declared resources cost per hour, at list prices, without data traffic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from infra.components.names import POOL_TAG
from infra.config.settings import ClusterSettings, Pool
from infra.plan.engine import Resource, Run
from infra.plan.prices import HOURS_PER_MONTH, Price, PriceTable

# Disks are billed by the size class they fit in, GiB
# (learn.microsoft.com/azure/virtual-machines/disks-types).
DISK_TIERS = {4: 32, 6: 64, 10: 128, 15: 256, 20: 512, 30: 1024, 40: 2048, 50: 4096}
DISK_LETTERS = {"Premium_LRS": "P", "StandardSSD_LRS": "E"}


@dataclass(frozen=True)
class Line:
    """One item on the bill. An unknown price is None and counts as zero."""

    what: str
    program: str  # "cluster" goes with `down`, "foundation" stays
    key: str  # of the price
    least: float  # number with the workers that `up` starts
    most: float  # number with the most workers
    price: Price | None
    at_most: bool = False  # the price is an upper limit: spot with only the on-demand price known
    runs: bool = False  # a machine: costs nothing while it is deallocated

    @property
    def hourly(self) -> tuple[float, float]:
        """US dollars per hour, least and most."""
        each = self.price.hourly if self.price else 0.0
        return self.least * each, self.most * each


@dataclass(frozen=True)
class Bill:
    """All lines and their totals."""

    lines: tuple[Line, ...]

    def hourly(self, program: str = "") -> tuple[float, float]:
        """US dollars per hour of one program, or of both."""
        chosen = [line.hourly for line in self.lines if program in ("", line.program)]
        return sum(low for low, _ in chosen), sum(high for _, high in chosen)

    def stopped_hourly(self) -> float:
        """The price of a cluster whose machines have stopped, but which was not destroyed."""
        stays = [line for line in self.lines if line.program == "cluster" and not line.runs]
        return sum(line.hourly[0] for line in stays)

    @property
    def unpriced(self) -> list[str]:
        """The keys without a price in the table."""
        return sorted({line.key for line in self.lines if not line.price and line.most})

    def elsewhere(self, region: str) -> list[str]:
        """The other regions whose prices were used instead."""
        return sorted({line.price.region for line in self.lines if line.price} - {region})


def monthly(hourly: float) -> float:
    """US dollars per month without a stop."""
    return hourly * HOURS_PER_MONTH


def bill(
    cluster: Run, foundation: Run, settings: ClusterSettings, prices: PriceTable, storage_gb: float
) -> Bill:
    """The bill for what both programs declare. `storage_gb`: assumed size of kept results."""
    found: list[Line] = []
    for program, run in (("cluster", cluster), ("foundation", foundation)):
        for resource in run.created():
            found += _lines(resource, program, settings, prices, storage_gb)
    # Machines, the most expensive, first; the rest keeps its order.
    return Bill(tuple(sorted(found, key=lambda line: (line.program, not line.runs))))


def _lines(
    resource: Resource,
    program: str,
    settings: ClusterSettings,
    prices: PriceTable,
    storage_gb: float,
) -> Iterator[Line]:
    inputs, region = resource.inputs, settings.location

    def line(what: str, key: str, least: float = 1, most: float = 1, *, runs: bool = False) -> Line:
        price = prices.find(key, region)
        at_most = False
        if not price and key.startswith("spot/"):
            # Spot never costs more than on demand, whatever the limit.
            price, at_most = prices.find(f"vm/{key.removeprefix('spot/')}", region), True
        return Line(what, program, key, least, most, price, at_most, runs)

    match resource.type.removeprefix("azure-native:"):
        case "compute:VirtualMachine":
            size = inputs["hardwareProfile"]["vmSize"]
            yield line(f"head {size}", f"vm/{size}", runs=True)
            yield line("head's disk", _disk(inputs))
        case "compute:VirtualMachineScaleSet":
            pool = pool_of(resource, settings)
            kind = "spot" if pool.spot else "vm"
            name = f"pool {pool.name}"
            yield line(
                f"{name} {pool.size.name}{' spot' if pool.spot else ''}",
                f"{kind}/{pool.size.name}",
                pool.min,
                pool.max,
                runs=True,
            )
            disk = _disk(inputs["virtualMachineProfile"])
            yield line(f"{name}'s disks", disk, pool.min, pool.max)
        case "network:NatGateway":
            yield line("NAT gateway", "nat-gateway")
        case "network:PublicIPAddress":
            yield line(f"address {resource.name}", "public-ip")
        case "network:BastionHost":
            sku = inputs.get("sku", {}).get("name", "Basic")
            yield line(f"Bastion {sku}", f"bastion/{sku}")
        case "containerregistry:Registry":
            sku = inputs["sku"]["name"]
            yield line(f"registry {sku}", f"registry/{sku}")
        case "storage:StorageAccount":
            yield line(
                f"results, {storage_gb:g} GB assumed", "storage-gb/Hot LRS", storage_gb, storage_gb
            )


def pool_of(resource: Resource, settings: ClusterSettings) -> Pool:
    """The pool of a scale set, by its tag; `LookupError` if there is none."""
    name = (resource.inputs.get("tags") or {}).get(POOL_TAG)
    for pool in settings.pools:
        if pool.name == name:
            return pool
    raise LookupError(f"the scale set {resource.name} belongs to no pool of the settings")


def _disk(machine: dict[str, object]) -> str:
    """The price key of a machine's disk."""
    profile = machine["storageProfile"]
    assert isinstance(profile, dict)
    disk = profile["osDisk"]
    kind = disk.get("managedDisk", {}).get("storageAccountType", "Premium_LRS")
    size = disk.get("diskSizeGB", 30)
    tier = next((tier for tier, gib in DISK_TIERS.items() if size <= gib), max(DISK_TIERS))
    return f"disk/{DISK_LETTERS.get(kind, kind)}{tier}"
