"""Streams through a client, whose server is scripted: the same `Reply` as `playing` has it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from shells import KINDS, TLS, Shell

from sse_client import Dialect, SSEClient
from sse_client.dialects import Delta, Message
from sse_client.testing import Answer, scripted_transport

from .playing import Reply

URL = "https://host/v1/stream"

# Sync, asyncio and trio.
THREE = [next(shell for shell in KINDS if shell.kind == kind) for kind in ("sync", "asyncio", "trio")]
three_shells = pytest.mark.parametrize("shell", THREE, ids=str)


def read(shell: Shell, dialect: Dialect[Delta, Message], *answers: Any, **options: Any) -> Reply:
    """Read a stream in a loop; a cut is raised, not mended, unless `resume` is given."""
    options = {"resume": None, "retry": None, "json": {}, **options}
    run = shell.read(URL, http={"transport": scripted_transport(*answers)}, dialect=dialect, **options)
    return reply_of(run.stream, run.events, run.error)


def reply_of(stream: Any, deltas: list[Delta], error: Any = None) -> Reply:
    """What a stream came to."""
    reply = Reply(stream.snapshot, deltas, error, getattr(error, "code", None))
    reply.is_complete = stream.outcome == "completed"
    return reply


def answer(pieces: bytes | Iterable[bytes], *end: Any) -> Answer:
    """A stream in these pieces, each in a chunk of its own."""
    return Answer(*([pieces] if isinstance(pieces, bytes) else pieces), *end)


@contextmanager
def sync_client(*answers: Any) -> Iterator[SSEClient]:
    """A client for many streams, one for each answer."""
    with (
        httpx.Client(transport=scripted_transport(*answers), verify=TLS) as http,
        SSEClient(http_client=http) as client,
    ):
        yield client
