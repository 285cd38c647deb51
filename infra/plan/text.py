"""The plan as a page of text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import date

from infra.config.settings import Limits
from infra.config.shape import shape
from infra.plan.cost import Line, monthly
from infra.plan.details import details
from infra.plan.engine import UNKNOWN, Resource, Run, walk
from infra.plan.plan import Plan
from infra.plan.prices import PriceTable
from infra.plan.style import Style

OLD_DAYS = 90


def page(plan: Plan, prices: PriceTable, today: date, style: Style) -> str:
    """Everything, in the order in which people decide."""
    parts = [
        *_head(plan, style),
        *_tree("cluster", "destroyed by `make down`", plan.cluster, plan, style),
        *_tree("foundation", "stays", plan.foundation, plan, style),
        *_bill(plan, prices, today, style),
        *_quota(plan, style),
        *_survives(plan, style),
        *_verdict(plan, style),
    ]
    return "\n".join(parts)


def _head(plan: Plan, style: Style) -> Iterator[str]:
    settings, ray = plan.cluster_settings, shape(plan.cluster_settings)
    yield style(f"{settings.name}-{settings.stack} in {settings.location}", "bold")
    yield (
        f"for {settings.owner}, until {settings.expires}\nthe head stops {_limits(settings.limits)}"
    )
    for node in ray.nodes:
        what = ", ".join(f"{count} {kind}" for kind, count in node.resources.items())
        yield (
            f"  {node.name:8} {node.min} to {node.max} {node.size.name}: {what} for Ray, object "
            f"store {node.object_store_gib:.0f} GiB, shared memory {node.shm_gib} GiB"
        )
    yield f"  env runners: {ray.min_env_runners} to {ray.max_env_runners}"
    for line in plan.warnings:
        yield style(f"warning: {line}", "yellow")
    yield ""


def _limits(limits: Limits) -> str:
    known = [f"after {limits.idle_minutes} minutes without a job"] if limits.idle_minutes else []
    known += [f"after {limits.max_hours:g} hours"] if limits.max_hours else []
    return " and ".join(known) or "only when told to"


def _tree(title: str, fate: str, run: Run, plan: Plan, style: Style) -> Iterator[str]:
    first = plan.first_cluster if run is plan.cluster else plan.first_foundation
    later = sum(_unknowns(resource) for resource in first.created())
    yield (
        style(f"{title}: {len(run.created())} resources", "bold")
        + style(f"   {fate}; {later} values are known only after `up`", "dim")
    )
    children: dict[str, list[Resource]] = {}
    known = {resource.urn for resource in run.resources}
    for resource in run.resources:
        parent = resource.options.parent
        children.setdefault(parent if parent in known else "", []).append(resource)

    def branch(parent: str, indent: str) -> Iterator[str]:
        siblings = children.get(parent, [])
        for index, resource in enumerate(siblings):
            last = index == len(siblings) - 1
            kind = resource.type.split(":")[-1]
            mark = style("~ exists" if resource.read else "", "cyan")
            shown = style(resource.name, "bold") if not resource.custom else resource.name
            yield f"{indent}{'└─ ' if last else '├─ '}{shown} {style(kind, 'dim')} {mark}".rstrip()
            below = indent + ("   " if last else "│  ")
            if resource.custom and not resource.read:
                stem = below + ("│  " if resource.urn in children else "   ")
                for text in details(resource, run, plan.cluster_settings):
                    lines = textwrap.wrap(text, 96 - len(stem), subsequent_indent="     ")
                    yield from (style(stem, "dim") + line for line in lines)
            yield from branch(resource.urn, below)

    yield from branch("", "")
    yield ""


def _unknowns(resource: Resource) -> int:
    return sum(value == UNKNOWN for _, value in walk(resource.inputs))


def _bill(plan: Plan, prices: PriceTable, today: date, style: Style) -> Iterator[str]:
    region = plan.cluster_settings.location
    bill = plan.bill
    yield style("price, US dollars", "bold") + style(f"{'per hour':>43}{'per month':>22}", "dim")
    for program in ("cluster", "foundation"):
        for line in bill.lines:
            if line.program == program:
                yield f"  {_count(line)}{_amounts(line.hourly, line.at_most, bool(line.price))}"
        low, high = bill.hourly(program)
        yield style(f"  {program:38}{_amounts((low, high), False, True)}", "bold")
    settings = plan.cluster_settings
    _, most = bill.hourly("cluster")
    if settings.limits.max_hours:
        hours = settings.limits.max_hours
        yield f"  {hours:g} hours with all workers, then the head stops: ${most * hours:,.2f}"
    stopped = bill.stopped_hourly()
    yield (
        f"  machines stopped but not destroyed: ${stopped:,.2f} per hour, "
        f"${monthly(stopped):,.0f} per month"
    )
    for text in textwrap.wrap(prices.note, 96):
        yield style(f"  {text}", "dim")
    if any(line.at_most for line in bill.lines):
        yield style("  <: at most; for spot only the on-demand price is known", "dim")
    if bill.unpriced:
        yield style(f"  no price known, not counted: {', '.join(bill.unpriced)}", "yellow")
    if others := bill.elsewhere(region):
        yield style(
            f"  some prices are for {', '.join(others)}: make prices REGION={region}", "yellow"
        )
    if (age := prices.age_days(today)) > OLD_DAYS:
        yield style(f"  the prices are {age} days old: make prices REGION={region}", "yellow")
    yield ""


def _count(line: Line) -> str:
    many = f"{line.least:g}" if line.least == line.most else f"{line.least:g}-{line.most:g}"
    return f"{line.what:32}{many + ' x' if many != '1' and line.runs else '':>6}"


def _amounts(hourly: tuple[float, float], at_most: bool, known: bool) -> str:
    if not known:
        return f"{'?':>12}"
    sign = "<" if at_most else ""

    def span(low: float, high: float, digits: int) -> str:
        if round(low, digits) == round(high, digits):
            return f"{sign}{high:,.{digits}f}"
        return f"{sign}{low:,.{digits}f} to {sign}{high:,.{digits}f}"

    low, high = hourly
    return f"{span(low, high, 3):>22}{span(monthly(low), monthly(high), 0):>22}"


def _quota(plan: Plan, style: Style) -> Iterator[str]:
    yield style("quota, vCPUs", "bold") + style(f"{'to start':>41}{'at most':>22}", "dim")
    for need in plan.quota:
        yield f"  {need.label:38}{need.minimum:>12}{need.maximum:>22}"
    yield ""


def _survives(plan: Plan, style: Style) -> Iterator[str]:
    yield style("what `make down` keeps", "bold")
    for resource in plan.survivors:
        yield f"  {resource.name} {style(resource.type.split(':')[-1], 'dim')}"
    settings = plan.cluster_settings
    if settings.resource_group:
        yield f"  {settings.resource_group}, the existing resource group"
    if settings.network.existing_subnet_id:
        yield f"  the subnet {settings.network.existing_subnet_id.rsplit('/', 1)[-1]}"
    yield "  so results, images and the vault stay; machines, disks and their logs are destroyed"
    yield ""


def _verdict(plan: Plan, style: Style) -> Iterator[str]:
    if not plan.violations:
        yield style("policies: no violations", "green")
    for found in plan.violations:
        yield style(f"policy {found.rule}: {found.resource}: {found.message}", "red")
