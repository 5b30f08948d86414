"""
Bytes in, events out: the event stream format (WHATWG HTML, sections 9.2.5 and 9.2.6), with no I/O.

How it stays fast. Lines end at CR, LF or CRLF, and none of these bytes occurs inside a UTF-8 sequence, so:

- If a piece contains a CR, its line ends are first converted to LF; all later steps know only LF.
- Bytes are kept until the LF that completes their line, and whole lines are decoded at once, so the decoder never sees
  half of a character.
- A stream repeats itself. If a text begins with `data: `, or with `event: NAME` and `data: `, `_feed_parts` splits it
  at each blank line that is followed by the same beginning; a part without a line end is the data of an event.
  Text of any other shape goes to `_feed_lines`, the standard's algorithm line by line. The events are the same.

No byte is scanned, decoded or copied more than a fixed number of times, however the stream is cut.
"""

import sys
from collections.abc import Callable
from copy import copy

from ._errors import EventTooLarge, quote
from ._event import ServerSentEvent

BOM = b"\xef\xbb\xbf"
DATA = b"data: "
RETRY = b"retry"
CR, LF = b"\r\n"

# Far more than a token, a tool call or a picture in base64 needs, and far too little to hurt a server.
DEFAULT_MAX_EVENT_SIZE = 64 * 1024 * 1024

# 18 digits fit into 63 bits, and 10**18 ms are 31 million years: more digits are not meant as a time.
MAX_RECONNECTION_TIME = 10**18


new = object.__new__


def utf8_length(text: str) -> int:
    """Return the length of the text in UTF-8, in bytes."""
    return len(text) if text.isascii() else len(text.encode())


class EventParser:
    """
    An incremental parser for one event stream.

    Feed it the body of a response, in pieces cut anywhere; it returns the events that they complete. A new connection
    needs a new parser: pass the `last_event_id` of the previous parser to it.

    `on_comment` is called with the text of each comment, without its colon; `on_unknown` with each line whose field is
    not in the standard. Both are called during `feed`, at the end of the line.

    `max_event_size` limits the size of an event while it is received, including its incomplete last line, in bytes.
    """

    last_event_id: str
    """The last event ID: set at the blank line after an `id` field, and kept until the next."""
    reconnection_time: int | None
    """The value of the last `retry` field, in milliseconds; `None` before the first."""

    def __init__(
        self,
        *,
        last_event_id: str = "",
        max_event_size: int = DEFAULT_MAX_EVENT_SIZE,
        on_comment: Callable[[str], object] | None = None,
        on_unknown: Callable[[str], object] | None = None,
    ) -> None:
        self.last_event_id = last_event_id
        self.reconnection_time = None
        # For the session: the number of events that this `feed` completed before the current call of `on_comment`, and
        # the number of events whose `id` field repeats the ID before them.
        self._completed = 0
        self._repeated_ids = 0

        self._max_event_size = max_event_size
        self._on_comment = on_comment
        self._on_unknown = on_unknown

        self._line = bytearray()  # the line that has not ended yet
        self._at_start = True  # only the first line can begin with a BOM
        self._after_cr = False  # an LF that comes next belongs to the CR before it
        self._too_large = False
        self._is_fresh = False  # none of the above, and no open block: the next byte begins a block
        # An invalid byte becomes U+FFFD, three bytes: a third of the limit can never exceed it.
        self._surely_small = max_event_size // 3

        # The open block: the values that its lines have set since the last blank line.
        self._is_open = False
        self._data: list[str] = []
        self._event = ""
        self._id: str | None = None
        self._retry: int | None = None
        self._data_size = 0  # in bytes of UTF-8, with the LF after each line
        self._size = 0  # of the whole block

    def __repr__(self) -> str:
        place = "in the middle of an event" if self.is_mid_block else "between events"
        return f"<EventParser {place}, last_event_id={quote(self.last_event_id)}>"

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """
        Parse the next piece of the stream and return the events that it completes.

        Pieces may be cut anywhere, even inside a character or a CRLF pair. An event is returned with the byte that
        completes its blank line. An incomplete event at the end of the stream is never returned.

        Raises `EventTooLarge` if an event is larger than `max_event_size`. The events that the same piece completes
        before it are returned first; then the next call raises, and so does every later one.
        """
        if self._is_fresh and len(data) <= self._surely_small:
            # The usual piece of a server that flushes each event.
            end = -2 if data[-2:] == b"\n\n" else -4 if data[-4:] == b"\r\n\r\n" else 0
            if end and "\r" not in (text := data[:end].decode("utf-8", "replace")):
                events: list[ServerSentEvent] = []
                self._feed_blocks(text, events)
                return events
        elif self._line and not self._too_large and LF not in data and CR not in data:
            # The middle of a long line.
            self._line += data
            if self._size + len(self._line) <= self._surely_small:
                return []
            data = b""
        return self._feed_any(data)

    @property
    def _open_line(self) -> str:
        """The received part of an incomplete line, or `""`."""
        line = self._line.removeprefix(BOM) if self._at_start else self._line
        return line.decode("utf-8", "replace")

    @property
    def is_mid_block(self) -> bool:
        """
        Whether an event has begun and not ended, by a part of a line or by a block with a field.

        Comments and `retry` fields do not count, complete or not, because they do not belong to an event.
        """
        # Only the name of the field: the line may have many megabytes.
        line = bytes(self._line[: len(BOM) + len(RETRY) + 1])
        if self._at_start:
            line = line.removeprefix(BOM)
        is_harmless = line.partition(b":")[0] in (b"", RETRY)
        return bool(not is_harmless or self._data or self._event or self._id is not None)

    def _unfinished(self) -> ServerSentEvent | None:
        """
        Return the incomplete last block as an event, as if its last line and its blank line were complete.

        It must not be delivered, because the standard drops it. But some servers forget the last blank line, and this
        block shows whether the stream was complete. `None` if the block has no data.
        """
        if not self.is_mid_block:
            return None
        twin = copy(self)
        twin._line = self._line.copy()
        twin._data = self._data.copy()
        twin._on_comment = twin._on_unknown = None
        twin._max_event_size = sys.maxsize  # the received bytes have been checked already
        events = [] if self._too_large else twin.feed(b"\n\n")
        return events[0] if events else None

    def _feed_any(self, data: bytes) -> list[ServerSentEvent]:
        """Parse a piece cut anywhere."""
        events: list[ServerSentEvent] = []
        if not self._too_large:
            if self._after_cr or CR in data:
                data = self._with_lf(data)
            if LF in data:
                self._feed_lines_of(data, events)
            else:
                self._line += data
            # A BOM does not count as a part of its line.
            received = len(self._line) - 3 if self._at_start and self._line.startswith(BOM) else len(self._line)
            if self._size + received > self._max_event_size:
                self._too_large = True
            self._is_fresh = not (self._line or self._is_open or self._after_cr or self._at_start or self._too_large)
        if self._too_large and not events:
            raise EventTooLarge(f"an event, or a line, of the stream is larger than {self._max_event_size:,} bytes")
        return events

    def _with_lf(self, data: bytes) -> bytes:
        """Convert line ends to LF. A CR ends its line at once; an LF after it, even in the next piece, is dropped."""
        if not data:
            return data
        if self._after_cr and data[0] == LF:
            data = data[1:]
        self._after_cr = data.endswith(b"\r")
        lines = data.splitlines()  # of bytes: at CR, LF and CRLF, and nowhere else
        if data.endswith((b"\r", b"\n")):
            lines.append(b"")
        return b"\n".join(lines)

    def _feed_lines_of(self, data: bytes, events: list[ServerSentEvent]) -> None:
        """Parse a piece that ends at least one line, and keep the bytes after its last LF."""
        end = data.rfind(b"\n") + 1
        line, self._line = self._line, bytearray(data[end:])
        line += data[:end]
        if self._at_start:
            # At the first line, not the first piece: the network may cut a BOM in two.
            self._at_start = False
            if line.startswith(BOM):
                del line[:3]
        if self._size + len(line) > self._surely_small:
            self._feed_within_limit(line, events)
            return
        if self._is_open:
            end = line.find(b"\n\n") + 2
            block = line[:end] if end > 1 else line
            self._feed_lines(block[:-1].decode("utf-8", "replace").split("\n"), events)
            del line[: len(block)]
        end = line.rfind(b"\n\n")
        if end != -1:
            lines = line[end + 2 :]
            del line[end:]
            if line.startswith(DATA):
                del line[: len(DATA)]  # before decoding, which saves a copy of an event of many megabytes
                self._feed_parts("data: ", "message", line.decode("utf-8", "replace"), events)
            else:
                self._feed_blocks(line.decode("utf-8", "replace"), events)
            line = lines
        if line:
            self._feed_lines(line[:-1].decode("utf-8", "replace").split("\n"), events)

    def _feed_blocks(self, text: str, events: list[ServerSentEvent]) -> None:
        """Parse whole blocks, given without the blank line after the last."""
        if text[:6] == "data: ":
            self._feed_parts("data: ", "message", text[6:], events)
            return
        if text[:7] == "event: ":
            end = text.find("\ndata: ")
            name = text[7:end]
            if end != -1 and "\n" not in name:
                end += len("\ndata: ")
                self._feed_parts(text[:end], name or "message", text[end:], events)
                return
        self._feed_lines([*text.split("\n"), ""], events)

    def _feed_parts(self, head: str, name: str, text: str, events: list[ServerSentEvent]) -> None:
        """Parse whole blocks, most of which begin with `head`; the text starts after the `head` of the first."""
        last_event_id = self.last_event_id
        for data in text.split(f"\n\n{head}") if "\n" in text else (text,):
            if "\n" in data:
                self._feed_lines([*f"{head}{data}".split("\n"), ""], events)
                last_event_id = self.last_event_id
            else:
                # ServerSentEvent(name, data, last_event_id) without the call, which is a third of the cost of an event.
                event = new(ServerSentEvent)
                event.event = name
                event.data = data
                event.id = last_event_id
                event.retry = None
                events.append(event)

    def _feed_lines(self, lines: list[str], events: list[ServerSentEvent]) -> None:
        """Parse lines without their ends, by the standard's own algorithm (section 9.2.6)."""
        data = self._data
        known = len(data)
        last_event_id = self.last_event_id
        for line in lines:
            if not line:
                if (own_id := self._id) is not None:
                    if own_id == last_event_id and data:
                        self._repeated_ids += 1
                    self.last_event_id = last_event_id = own_id
                    self._id = None
                if data:
                    text = data[0] if len(data) == 1 else "\n".join(data)
                    events.append(ServerSentEvent(self._event or "message", text, last_event_id, self._retry))
                    data.clear()
                self._event = ""
                self._retry = None
                known = 0
                if self._size:
                    self._size = self._data_size = 0
                continue
            field, _, value = line.partition(": ")
            if ":" in field:  # no space after the first colon
                field, _, value = line.partition(":")
            if field == "data":
                data.append(value)
            elif field == "event":
                self._event = value
            elif field == "id":
                if "\0" not in value:
                    self._id = value
            elif field == "retry":
                # Not int() alone, which accepts "1_0" and "+5", nor str.isdigit() alone, which accepts "٣".
                if value.isascii() and value.isdigit():
                    digits = value.lstrip("0") or "0"
                    self._retry = int(digits) if len(digits) <= 18 else MAX_RECONNECTION_TIME
                    self.reconnection_time = self._retry
            elif not field:
                if self._on_comment is not None:
                    self._completed = len(events)
                    self._on_comment(line[1:])
            elif self._on_unknown is not None:
                self._on_unknown(line)

        self._is_open = lines[-1] != ""
        if self._is_open:
            self._data_size += sum(utf8_length(value) + 1 for value in data[known:])
            new_id = "" if self._id is None or self._id == self.last_event_id else self._id
            self._size = self._data_size + utf8_length(self._event) + utf8_length(new_id)

    def _feed_within_limit(self, data: bytearray, events: list[ServerSentEvent]) -> None:
        """Parse whole lines, one at a time, and stop at the one that makes its event too large."""
        for line in data.split(b"\n")[:-1]:
            if self._size + len(line) > self._max_event_size:
                self._too_large = True
                return
            self._feed_lines([line.decode("utf-8", "replace")], events)
