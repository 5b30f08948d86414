"""
The one record that everything here is about: a server-sent event, as it came over the wire.

It is a plain slotted record and not a pydantic model: building one is the largest single cost of reading a
stream, and a record costs a quarter of a frozen one and an eighth of a model.
"""

import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json


@dataclass(slots=True)
class ServerSentEvent:
    """One event of an event stream (WHATWG HTML, section 9.2.6, "dispatch the event")."""

    event: str = "message"
    """The event's type: the `event` field, or `"message"` where the stream named none."""

    data: str = ""
    """The `data` lines, joined by line feeds."""

    id: str = ""
    """The last event ID as it stood when this event was dispatched: an event without an `id` has the one before it."""

    retry: int | None = None
    """The reconnection time that this event's block set, in milliseconds, or `None`."""

    def json(self) -> Any:
        """
        Parse the data as JSON.

        Half of a surrogate pair (`"\\ud83d"`, of an emoji that the server cut in two) is kept as it is: the other half
        may come in the next event. `text.encode("utf-16", "surrogatepass").decode("utf-16")` joins the two.

        Raises `ValueError` (most often `json.JSONDecodeError`) where the data is not JSON.
        """
        try:
            return from_json(self.data)
        except ValueError:
            # The fast parser refuses half of a surrogate pair, which servers send when they cut an emoji in two.
            # The standard library takes it, and words the error better where the data really is not JSON.
            try:
                return json.loads(self.data)
            except RecursionError:
                raise ValueError("the JSON is nested too deeply") from None


@dataclass(slots=True)
class Comment:
    """A comment between two events, as `comments=True` delivers it. Servers send them to keep a connection alive."""

    text: str
    """The line after its colon, as `EventEncoder.comment` takes it: `" ping"` for `: ping`."""
