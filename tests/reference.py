"""
The standard's algorithm for an event stream, line by line, as slow and as obvious as it reads.

WHATWG HTML, sections 9.2.5 (Parsing an event stream) and 9.2.6 (Interpreting an event stream). The comments quote it.
It takes a whole stream at once, so it has no state that a cut between two bytes could upset. The results of
`EventParser` for a stream, in whatever pieces it comes, have to be those of `parse`.
"""

import re
from typing import NamedTuple

from sse_client._event import ServerSentEvent

BOM = b"\xef\xbb\xbf"
DIGITS = "0123456789"


class Result(NamedTuple):
    """The results of a stream that ends after its last byte."""

    events: list[ServerSentEvent]
    last_event_id: str
    reconnection_time: int | None
    comments: list[str]


def lines(stream: bytes) -> list[str]:
    """Split a stream into its complete lines: the text after the last line end is not a line."""
    # "Streams must be decoded using the UTF-8 decode algorithm", which strips one leading BOM.
    text = stream.removeprefix(BOM).decode("utf-8", errors="replace")
    # "The lines must be separated by either a CRLF character pair, a single LF character, or a single CR character."
    *whole, _unfinished = re.split("\r\n|\n|\r", text)
    return whole


def parse(stream: bytes) -> Result:
    """Interpret a whole event stream; "once the end of the file is reached, any pending data must be discarded"."""
    events: list[ServerSentEvent] = []
    comments: list[str] = []
    last_event_id = ""
    reconnection_time: int | None = None

    # "When a stream is parsed, a data buffer, an event type buffer, and a last event ID buffer must be associated
    # with it. They must be initialized to the empty string."
    data_buffer = event_type_buffer = last_event_id_buffer = ""
    # Not in the standard: the reconnection time that the block set, which `ServerSentEvent.retry` has.
    block_retry: int | None = None

    for line in lines(stream):
        # "If the line is empty (a blank line): Dispatch the event."
        if line == "":
            # "Set the last event ID string of the event source to the value of the last event ID buffer."
            last_event_id = last_event_id_buffer
            # "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty
            # string and return."
            if data_buffer != "":
                events.append(
                    ServerSentEvent(
                        event="message" if event_type_buffer == "" else event_type_buffer,
                        # "If the data buffer's last character is a U+000A LINE FEED (LF) character, then remove" it.
                        data=data_buffer.removesuffix("\n"),
                        id=last_event_id,
                        retry=block_retry,
                    )
                )
            data_buffer = event_type_buffer = ""
            block_retry = None
            continue
        # "If the line starts with a U+003A COLON character (:): Ignore the line."
        if line.startswith(":"):
            comments.append(line[1:])
            continue
        # "If the line contains a U+003A COLON character (:): Collect the characters on the line before the first
        # U+003A COLON character (:), and let field be that string. Collect the characters on the line after the
        # first U+003A COLON character (:), and let value be that string. If value starts with a U+0020 SPACE
        # character, remove it from value."
        # "Otherwise [...] using the whole line as the field name, and the empty string as the field value."
        field, _colon, value = line.partition(":")
        value = value.removeprefix(" ")
        # "Field names must be compared literally, with no case folding performed."
        if field == "event":
            # "Set the event type buffer to the field value."
            event_type_buffer = value
        elif field == "data":
            # "Append the field value to the data buffer, then append a single U+000A LINE FEED (LF) character to the
            # data buffer."
            data_buffer += value + "\n"
        elif field == "id":
            # "If the field value does not contain U+0000 NULL, then set the last event ID buffer to the field value.
            # Otherwise, ignore the field."
            if "\0" not in value:
                last_event_id_buffer = value
        elif field == "retry" and value != "" and all(character in DIGITS for character in value):
            # "If the field value consists of only ASCII digits, then interpret the field value as an integer in base
            # ten, and set the event stream's reconnection time to that integer. Otherwise, ignore the field."
            reconnection_time = block_retry = decimal(value)
        # "Otherwise: The field is ignored."

    return Result(events, last_event_id, reconnection_time, comments)


def decimal(digits: str) -> int:
    """Read digits in base ten: `int()` refuses more than 4,300 of them, and the standard has no such limit."""
    number = 0
    for digit in digits:
        number = number * 10 + DIGITS.index(digit)
    return number
