"""The fixtures of the applications' tests."""

import httpx
import pytest
from shells import Shell


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Applications run on both backends; the kind of asyncio's loop does not matter to them."""
    backend: str = request.param
    return backend


@pytest.fixture(params=[Shell("sync", httpx), Shell("asyncio", httpx), Shell("trio", httpx)], ids=lambda it: it.kind)
def shell(request: pytest.FixtureRequest) -> Shell:
    """An application's protocol works in the sync client, and on asyncio and trio."""
    shell: Shell = request.param
    return shell
