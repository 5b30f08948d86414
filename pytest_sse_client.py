"""
The pytest plugin of sse-client: fixtures for scripted servers, scripted transports and cassettes.

It is a module outside the package, so that a test run without these fixtures does not import sse_client.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sse_client.testing import EventServer, Script, ScriptedTransport


@pytest.fixture
def sse_server() -> "Iterator[Callable[..., EventServer]]":
    """
    Start servers: `sse_server(*scripts)` returns a running `EventServer`.

    Each server is closed at the end of the test. If a function of its script raised an exception, the test fails with
    it.
    """
    from contextlib import ExitStack

    from sse_client.testing import EventServer

    with ExitStack() as servers:
        yield lambda *scripts, **options: servers.enter_context(EventServer(*scripts, **options))


@pytest.fixture
def sse_transport() -> "Callable[..., ScriptedTransport]":
    """Make transports: `sse_transport(*scripts)` returns `scripted_transport(*scripts)`, without sockets or waiting."""
    from sse_client.testing import scripted_transport

    return scripted_transport


@pytest.fixture
def sse_cassette(request: pytest.FixtureRequest) -> "Callable[..., ScriptedTransport]":
    """
    Play cassettes: `sse_cassette("chat.jsonl")` returns a transport that plays the recorded responses.

    Several cassettes, as in `sse_cassette("a.jsonl", "b.jsonl")`, are played one after the other. The files are in the
    folder `cassettes` next to the test's file. `faults=` adds `Faults` to each connection. `speed=` is passed to
    `replay`, and is `math.inf` by default.
    """
    from math import inf

    from sse_client.testing import Faults, replay, scripted_transport

    def play(name: str, *more: str, speed: float = inf, faults: Faults | None = None) -> "ScriptedTransport":
        answers: list[Script] = []
        for each in (name, *more):
            path = Path(request.path).parent / "cassettes" / each
            if not path.exists():
                pytest.fail(f"there is no cassette {path}: record one with sse_client.testing.record(stream, path)")
            answers += replay(path, speed=speed)
        return scripted_transport(*(answers if faults is None else map(faults, answers)))

    return play
