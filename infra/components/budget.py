"""E-mail when a month becomes expensive. It stops nothing; the nodes' own limits do that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import consumption

from infra.components.names import PROJECT_TAG, prefix
from infra.config.settings import FoundationSettings

# Percent of the budget. A budget allows five alerts, so the forecast at 50 percent is left out:
# months under budget reach that too.
ACTUAL = (50, 80, 100)
FORECAST = (80, 100)


@dataclass(frozen=True)
class BudgetArgs:
    """Covers everything in the subscription with the project's tag."""

    settings: FoundationSettings
    subscription: str


class Budget(pulumi.ComponentResource):
    """A monthly budget of the subscription, filtered by tag.

    Not of a resource group, because clusters have their own groups, which come and go.
    """

    def __init__(
        self, name: str, args: BudgetArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Budget", name, None, opts)
        settings = args.settings
        kinds = consumption.ThresholdType
        alerts = [(kinds.ACTUAL, percent) for percent in ACTUAL]
        alerts += [(kinds.FORECASTED, percent) for percent in FORECAST]
        consumption.Budget(
            f"{name}-month",
            budget_name=f"{prefix(settings)}-month",
            scope=f"/subscriptions/{args.subscription}",
            category=consumption.CategoryType.COST,
            amount=settings.monthly_budget,
            time_grain=consumption.TimeGrainType.MONTHLY,
            time_period=consumption.BudgetTimePeriodArgs(
                start_date=f"{settings.budget_start}T00:00:00Z"
            ),
            filter=consumption.BudgetFilterArgs(
                tags=consumption.BudgetComparisonExpressionArgs(
                    name=PROJECT_TAG,
                    operator=consumption.BudgetOperatorType.IN_,
                    values=[settings.name],
                )
            ),
            notifications={
                f"{kind.value.lower()}-{percent}": _alert(kind, percent, settings.budget_emails)
                for kind, percent in alerts
            },
            # The start only matters at creation; Azure refuses to change it later.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["timePeriod"]),
        )
        self.register_outputs({})


def _alert(
    kind: consumption.ThresholdType, percent: int, emails: Sequence[str]
) -> consumption.NotificationArgs:
    return consumption.NotificationArgs(
        enabled=True,
        operator=consumption.OperatorType.GREATER_THAN_OR_EQUAL_TO,
        threshold=percent,
        threshold_type=kind,
        contact_emails=list(emails),
    )
