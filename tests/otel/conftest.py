"""The SDK in memory, one for each test."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from otel.recorded import Recorded


@pytest.fixture
def recorded() -> "Recorded":
    """The spans and metrics of this test."""
    from otel.recorded import Recorded  # the tests are skipped without the SDK, and this file is not

    return Recorded()
