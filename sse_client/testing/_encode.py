"""
Events to bytes: the exact inverse of a parser that begins with an empty last event ID.

What the wire cannot carry is refused, never changed: a test that sends something else than it says proves nothing.
"""

from sse_client._event import ServerSentEvent


def encode(*events: ServerSentEvent) -> bytes:
    """
    Write events as an event stream (WHATWG HTML, section 9.2.6), in UTF-8 with LF as the end of each line.

    A parser that begins with an empty last event ID reads exactly these events from it. An `id` line is written only
    where the ID differs from that of the event before, in the same call.

    Raises `ValueError` for what no stream can carry: CR in the data; an empty event name, or CR or LF in it; CR, LF or
    NUL in the ID; a negative reconnection time; half of a surrogate pair anywhere (`UnicodeEncodeError`).
    """
    lines: list[str] = []
    last_event_id = ""
    for event in events:
        _check(event)
        if event.event != "message":
            lines.append(f"event: {event.event}")
        if event.id != last_event_id:
            lines.append(f"id: {event.id}" if event.id else "id:")
            last_event_id = event.id
        if event.retry is not None:
            lines.append(f"retry: {event.retry}")
        # A parser takes one space away after the colon, so one is always written: the value's own blanks survive.
        lines.extend(f"data: {line}" for line in event.data.split("\n"))
        lines.append("")
    return "".join(f"{line}\n" for line in lines).encode()


def _check(event: ServerSentEvent) -> None:
    if "\r" in event.data:
        raise ValueError(f"expected data without CR, got {event.data!r}")
    # An empty name is read as "message".
    if not event.event or _has_any("\r\n", event.event):
        raise ValueError(f"expected an event name that is not empty and without CR and LF, got {event.event!r}")
    # An ID with a NUL is ignored.
    if _has_any("\r\n\0", event.id):
        raise ValueError(f"expected an id without CR, LF and NUL, got {event.id!r}")
    if event.retry is not None and event.retry < 0:
        raise ValueError(f"expected retry >= 0 (milliseconds), got {event.retry!r}")


def _has_any(characters: str, text: str) -> bool:
    return any(character in text for character in characters)
