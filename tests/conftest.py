"""Fixtures that run a test on every backend, library and shell."""

import signal
from collections.abc import Iterator
from types import ModuleType

import httpx
import httpx2
import pytest
from shells import Shell


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Async tests run on both backends."""
    backend: str = request.param
    return backend


@pytest.fixture(params=[httpx, httpx2], ids=lambda library: library.__name__)
def library(request: pytest.FixtureRequest) -> ModuleType:
    """Tests of a client run over both libraries."""
    library: ModuleType = request.param
    return library


SHELLS = [Shell(kind, library) for kind in ("sync", "asyncio", "trio") for library in (httpx, httpx2)]


@pytest.fixture(params=SHELLS, ids=str)
def shell(request: pytest.FixtureRequest) -> Shell:
    """Tests of what a stream does run in all six shells."""
    shell: Shell = request.param
    return shell


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C is a KeyboardInterrupt, also where the shell has it ignored, as for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
