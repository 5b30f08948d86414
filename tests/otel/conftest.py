"""The SDK in memory, one for each test. Without OpenTelemetry, which is an extra, there is nothing to test here."""

import importlib.util
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from otel.recorded import Recorded


def is_missing(*modules: str) -> bool:
    return any(importlib.util.find_spec(module) is None for module in modules)


# The parent first, because `find_spec` imports it. The API alone may be there for another package.
collect_ignore_glob = ["test_*.py"] if is_missing("opentelemetry", "opentelemetry.sdk") else []


@pytest.fixture
def recorded() -> "Recorded":
    """The spans and metrics of this test."""
    from otel.recorded import Recorded  # the tests are left out without the SDK, and this file is not

    return Recorded()
