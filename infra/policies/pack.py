"""The rules as Pulumi policies: the same functions, run by `pulumi up`."""

from __future__ import annotations

from collections.abc import Callable

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

from infra.policies.rules import RULES, Rule


def policies() -> list[Policy]:
    """One policy per rule. A violation that the preview sees stops the deployment before anything
    is created; if values are unknown until then, such as user data, only that resource stops."""
    return [
        ResourceValidationPolicy(
            name=rule.name,
            description=rule.demands,
            enforcement_level=EnforcementLevel.MANDATORY,
            validate=_validate(rule),
        )
        for rule in RULES
    ]


def _validate(rule: Rule) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for message in rule.broken_by(args.resource_type, args.props, args.opts):
            report(f"{args.name}: {message}", None)

    return validate
