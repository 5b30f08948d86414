"""Helpers for several of the applications' tests."""

import json
import time
from collections.abc import Callable
from typing import Any

from shells import PATIENCE

from sse_client import Handlers, SSEError


def data(**fields: Any) -> str:
    """An unnamed event that contains a JSON object."""
    return f"data: {json.dumps(fields, ensure_ascii=False)}\n\n"


def named(event: str, **fields: Any) -> str:
    """A named event that contains a JSON object."""
    return f"event: {event}\n{data(**fields)}"


def eventually(holds: Callable[[], bool], within: float = 2.0) -> bool:
    """Whether it holds soon."""
    deadline = time.monotonic() + within * PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def recording() -> tuple[Handlers, list[str]]:
    """Handlers that record which moments in the life of a stream have come."""
    on, seen = Handlers(), list[str]()
    on.complete(lambda: seen.append("complete"))

    @on.error
    def note_error(error: SSEError) -> None:
        seen.append(type(error).__name__)

    on.cancel(lambda: seen.append("cancel"))
    on.close(lambda: seen.append("close"))
    return on, seen
