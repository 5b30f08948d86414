"""The fixtures of the applications' tests."""

import httpx
import pytest
from shells import Shell


@pytest.fixture(params=[Shell("sync", httpx), Shell("asyncio", httpx), Shell("trio", httpx)], ids=lambda it: it.kind)
def shell(request: pytest.FixtureRequest) -> Shell:
    """What an application's protocol promises holds in the sync client, and on asyncio and trio."""
    shell: Shell = request.param
    return shell
