"""All checks, in the order of the report."""

from .._case import Case, Check, Diagnosis
from . import content, head, reply, times

WITHOUT_HEAD: tuple[Check, ...] = (*content.CHECKS, *reply.CHECKS)
CHECKS: tuple[Check, ...] = (*head.CHECKS, *times.CHECKS, *WITHOUT_HEAD)


def diagnose(case: Case) -> Diagnosis:
    """Run all checks; those of the head and of the times only if these are known."""
    if case.exchange.failure is not None:
        return Diagnosis(case, (case.exchange.failure,))
    checks = CHECKS if case.exchange.has_head else WITHOUT_HEAD
    return Diagnosis(case, tuple(finding for check in checks for finding in check(case)))
