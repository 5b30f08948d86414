"""
Events in, bytes out: the inverse of the parser (WHATWG HTML, sections 9.2.5 and 9.2.6).

No value can forge a field or an event, because lines are written in only two ways. Text that may have several lines
(data, comments) is split at each of the three line ends of the standard, and each line gets the name of its field. Text
that must fit on one line (a name, an ID) is rejected if it contains a line end.
"""

from operator import index

from ._errors import quote
from ._event import ServerSentEvent


class EventEncoder:
    """
    An encoder for one event stream, for a server that sends events or relays those of another server.

    Each call returns whole lines and a blank line, ready to send: UTF-8, with LF as the line end. A parser reads back
    the events that were encoded, with one difference: CR, LF and CRLF in the data all become LF. (`EventParser` also
    reads a `retry` of more than 18 digits as 10**18.)

    An encoder is stateful, so each connection needs its own. An event without an `id` field has the ID of the event
    before it, so an ID is written only if it changes; if it changes to the empty string, an empty `id` field resets it.
    `last_event_id` is the ID that the receiver already has: the `Last-Event-ID` of its request, if it reconnected.

    A relay, as the body of a Starlette or FastAPI `StreamingResponse` with `media_type="text/event-stream"`:

        async def relay(client: AsyncSSEClient, question: str) -> AsyncIterator[bytes]:
            encoder = EventEncoder()
            # Without terminator=None, [DONE] would end the stream here and never be sent on.
            async with client.post("/chat", json={"message": question}, terminator=None) as stream:
                async for event in stream:
                    yield encoder.encode(event)
    """

    __slots__ = ("_last_event_id",)

    def __init__(self, *, last_event_id: str = "") -> None:
        self._last_event_id = last_event_id

    def __repr__(self) -> str:
        return f"<EventEncoder last_event_id={quote(self._last_event_id)}>"

    def encode(self, event: ServerSentEvent) -> bytes:
        """
        Return the bytes of an event.

        They contain the name, unless it is `"message"`; the ID, if it changes; `retry`, if the event has one; and every
        line of the data, even if the data is empty.

        Raises `ValueError` for values that the format cannot carry: an empty name; a name or an ID with CR, LF or NUL;
        a `retry` below 0; half of a surrogate pair (`UnicodeEncodeError`), which UTF-8 does not have. An error leaves
        the encoder unchanged.
        """
        lines: list[str] = []
        if event.event != "message":
            if not event.event or _has_any("\r\n\0", event.event):  # a parser would read an empty name as "message"
                raise ValueError(f"expected a non-empty event name without CR, LF and NUL, got {quote(event.event)}")
            lines += "event: ", event.event, "\n"
        if event.id != self._last_event_id:
            if _has_any("\r\n\0", event.id):  # a parser ignores an ID with a NUL
                raise ValueError(f"expected an id without CR, LF and NUL, got {quote(event.id)}")
            lines += "id: " if event.id else "id:", event.id, "\n"
        if event.retry is not None:
            lines += "retry: ", _digits(event.retry), "\n"
        # A parser removes one space after the colon. One is always written, so a value keeps its own leading space.
        for line in _lines(event.data):
            lines += "data: ", line, "\n"
        lines.append("\n")
        # Joined, not formatted, so that a member of a `str` enumeration is written as its value.
        data = "".join(lines).encode()
        self._last_event_id = event.id
        return data

    def comment(self, text: str) -> bytes:
        """
        Return the bytes of a comment, which keeps a silent connection alive and is not an event.

        The text follows the colon unchanged, as `EventParser` passes it on; `comment(" ping")` is `: ping` on the wire.
        Each line of the text becomes a separate comment. Raises `UnicodeEncodeError` for half of a surrogate pair.
        """
        return "".join([f":{line}\n" for line in _lines(text)] + ["\n"]).encode()

    def retry(self, milliseconds: int) -> bytes:
        """Return the bytes that set the receiver's reconnection time. Raises `ValueError` if it is below 0."""
        return f"retry: {_digits(milliseconds)}\n\n".encode()


def _lines(text: str) -> list[str]:
    """Split text at CR, LF and CRLF only; `str.splitlines` has seven more line ends."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.split("\n")


def _has_any(characters: str, text: str) -> bool:
    return any(character in text for character in characters)


def _digits(milliseconds: int) -> str:
    if milliseconds < 0:
        raise ValueError(f"expected retry >= 0 (milliseconds), got {milliseconds!r}")
    return str(int(index(milliseconds)))  # `int` alone would accept 1.5 as 1
