"""The servers of the command's tests: uvicorn, and nginx before it."""

from collections.abc import Iterator

import pytest
from nginx import PROGRAM, Nginx
from uvicorn_server import UvicornServer


@pytest.fixture(scope="session")
def uvicorn_server() -> Iterator[UvicornServer]:
    """An application on uvicorn."""
    with UvicornServer() as server:
        yield server


@pytest.fixture(scope="session")
def nginx(uvicorn_server: UvicornServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """A real nginx before the application; without nginx, the test is skipped."""
    if PROGRAM is None:
        pytest.skip("nginx is not installed")
    with Nginx(tmp_path_factory.mktemp("nginx"), uvicorn_server.port) as nginx:
        yield nginx
