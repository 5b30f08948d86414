"""
A server-sent event as it was received.

It is a plain dataclass with slots and not a pydantic model, because creating events is the largest single cost of
reading a stream: a frozen dataclass costs four times as much, a model eight times.
"""

import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json


@dataclass(slots=True)
class ServerSentEvent:
    """One event of an event stream (WHATWG HTML, section 9.2.6, "dispatch the event")."""

    event: str = "message"
    """The event's type: the `event` field, or `"message"` without one."""

    data: str = ""
    """The `data` lines, joined by line feeds."""

    id: str = ""
    """The last event ID when this event was dispatched: an event without an `id` field has the ID before it."""

    retry: int | None = None
    """The `retry` field in the event's block: the reconnection time in milliseconds, or `None`."""

    def json(self) -> Any:
        """
        Parse the data as JSON.

        Half of a surrogate pair (`"\\ud83d"`, from an emoji that the server cut in two) is kept: the other half may
        come in the next event. `text.encode("utf-16", "surrogatepass").decode("utf-16")` joins the two.

        Raises `ValueError` (usually `json.JSONDecodeError`) if the data is not JSON.
        """
        try:
            return from_json(self.data)
        except ValueError:
            # The fast parser rejects half of a surrogate pair, which servers send if they cut an emoji in two. The
            # standard library accepts it, and has better error messages if the data really is not JSON.
            try:
                return json.loads(self.data)
            except RecursionError:
                raise ValueError("the JSON is nested too deeply") from None


@dataclass(slots=True)
class Comment:
    """A comment between two events, as `comments=True` delivers it. Servers send them to keep a connection alive."""

    text: str
    """The line after its colon, as `EventEncoder.comment` takes it: `" ping"` for `: ping`."""
