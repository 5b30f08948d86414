"""
Events to bytes, for a script: a parser reads back exactly the same events.

`EventEncoder` converts the line ends in data to LF. `encode` rejects a CR instead, because a test that does not send
the data that it names proves nothing.
"""

from sse_client._encoder import EventEncoder
from sse_client._event import ServerSentEvent


def encode(*events: ServerSentEvent) -> bytes:
    """
    Encode events as an event stream (WHATWG HTML, section 9.2.6), like a new `EventEncoder`.

    A parser with an empty last event ID reads back exactly these events. An `id` line is written only if the ID differs
    from that of the event before it in the same call.

    Raises `ValueError` for everything that `EventEncoder` rejects, and for CR in the data, which it would change.
    """
    encoder = EventEncoder()
    for event in events:
        if "\r" in event.data:
            raise ValueError(f"expected data without CR, got {event.data!r}")
    return b"".join([encoder.encode(event) for event in events])
