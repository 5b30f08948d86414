"""
The pytest plugin of sse-client: fixtures for scripted servers, scripted transports and cassettes.

It stands beside the package, not in it, so that a test run that uses none of these fixtures imports pytest alone.
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

    Each is closed at the end of the test, which fails with what a function of the script has raised.
    """
    from contextlib import ExitStack

    from sse_client.testing import EventServer

    with ExitStack() as servers:
        yield lambda *scripts, **options: servers.enter_context(EventServer(*scripts, **options))


@pytest.fixture
def sse_transport() -> "Callable[..., ScriptedTransport]":
    """Make transports: `sse_transport(*scripts)` is `scripted_transport(*scripts)`, without a socket or a wait."""
    from sse_client.testing import scripted_transport

    return scripted_transport


@pytest.fixture
def sse_cassette(request: pytest.FixtureRequest) -> "Callable[..., ScriptedTransport]":
    """
    Play cassettes: `sse_cassette("chat.jsonl")` returns a transport that answers with what was recorded.

    Of several cassettes, `sse_cassette("a.jsonl", "b.jsonl")`, each answers the requests after those of the one before.
    The files are looked for in the folder `cassettes` beside the test's own file. `faults=` puts each connection
    through `Faults`; `speed=` is that of `replay`, `math.inf` where nothing is said.
    """
    from math import inf

    from sse_client.testing import Faults, replay, scripted_transport

    def play(name: str, *more: str, speed: float = inf, faults: Faults | None = None) -> "ScriptedTransport":
        answers: list[Script] = []
        for each in (name, *more):
            path = Path(request.path).parent / "cassettes" / each
            if not path.exists():
                pytest.fail(f"there is no cassette {path}: make one with sse_client.testing.record(stream, path)")
            answers += replay(path, speed=speed)
        return scripted_transport(*(answers if faults is None else map(faults, answers)))

    return play
