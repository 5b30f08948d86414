"""
Events to bytes, for a script: exactly the events that a parser reads back.

`EventEncoder` turns the line ends of data into LF. This refuses them: a test that sends something other than it says
proves nothing.
"""

from sse_client._encoder import EventEncoder
from sse_client._event import ServerSentEvent


def encode(*events: ServerSentEvent) -> bytes:
    """
    Write events as an event stream (WHATWG HTML, section 9.2.6), as a new `EventEncoder` does.

    A parser that begins with an empty last event ID reads exactly these events from it. An `id` line is written only
    if the ID differs from that of the event before, in the same call.

    Raises `ValueError` for everything that `EventEncoder` refuses, and for CR in the data, which it would change.
    """
    encoder = EventEncoder()
    for event in events:
        if "\r" in event.data:
            raise ValueError(f"expected data without CR, got {event.data!r}")
    return b"".join([encoder.encode(event) for event in events])
