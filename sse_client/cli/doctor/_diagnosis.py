"""All checks, in the order of the report."""

from . import _content, _head, _reply, _time
from ._case import Case, Check, Diagnosis

CHECKS: tuple[Check, ...] = (*_head.CHECKS, *_time.CHECKS, *_content.CHECKS, *_reply.CHECKS)


def diagnose(case: Case) -> Diagnosis:
    """Run all checks."""
    return Diagnosis(case, tuple(finding for check in CHECKS for finding in check(case)))
