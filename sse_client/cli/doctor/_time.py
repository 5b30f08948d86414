"""Checks."""

from ._case import Check

CHECKS: tuple[Check, ...] = ()
