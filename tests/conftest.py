"""Fixtures that run a test on every backend, library and shell."""

import signal
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
from shells import HAS_UVLOOP, Shell

BACKENDS: dict[str, tuple[str, dict[str, Any]]] = {"asyncio": ("asyncio", {}), "trio": ("trio", {})}
if HAS_UVLOOP:
    BACKENDS["uvloop"] = "asyncio", {"use_uvloop": True}


@pytest.fixture(params=[*BACKENDS.values()], ids=[*BACKENDS])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Async tests run on both backends, and on uvloop, whose sockets are not those of asyncio."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


@pytest.fixture(params=[httpx, httpx2], ids=lambda library: library.__name__)
def library(request: pytest.FixtureRequest) -> ModuleType:
    """Tests of a client run over both libraries."""
    library: ModuleType = request.param
    return library


SHELLS = [Shell(kind, library) for kind in ("sync", "asyncio", "trio") for library in (httpx, httpx2)]
if HAS_UVLOOP:
    SHELLS.append(Shell("asyncio", httpx, has_uvloop=True))


@pytest.fixture(params=SHELLS, ids=str)
def shell(request: pytest.FixtureRequest) -> Shell:
    """Tests of what a stream does run in all shells."""
    shell: Shell = request.param
    return shell


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C is a KeyboardInterrupt, also where the shell has it ignored, as for what runs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
