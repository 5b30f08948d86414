"""
The body of one connection: bytes in, events out.

Most bodies go straight to the parser. There are three exceptions: a JSON response becomes one event once it is
complete; a body whose content coding cannot be decoded may still be plain text; and a resumed stream may begin with a
repeated event.
"""

import logging
from collections.abc import Callable

from .._errors import EventTooLarge
from .._event import ServerSentEvent
from .._parser import EventParser
from .plan import Plan
from .responses import EVENT_STREAM, begins_a_stream, media_type
from .steps import Head
from .strays import Strays, is_stray

logger = logging.getLogger("sse_client")


class Body:
    """
    The body of one connection.

    `feed` may replace itself with another function, until `is_plain`. `head` is `None` before the first connection.
    `request` names the request in texts, `last` is the last event that the user has finished with, and `shares_ids` is
    that of the previous body.
    """

    __slots__ = (
        *("head", "request", "feed", "parser", "json", "beginning", "is_refused", "is_understood"),
        *("_plan", "_last", "_shares_ids", "_strays", "_ahead"),
    )

    feed: Callable[[bytes], list[ServerSentEvent]]
    """The function that takes the next piece and returns the events that it completes."""
    parser: EventParser
    json: bytearray | None
    """The bytes of a JSON response; `None` if the body is an event stream."""
    beginning: bytes
    """The first bytes of a body that cannot be decoded, until they show that it is a stream; kept if it is not."""
    is_refused: bool
    """Whether the body turned out not to be a stream."""
    is_understood: bool
    """Whether the body had a ping or a repeated event, which are parsed but not delivered."""

    def __init__(
        self,
        plan: Plan,
        head: Head | None,
        last_event_id: str,
        *,
        on_comment: Callable[[str], object],
        request: str = "",
        last: ServerSentEvent | None = None,
        shares_ids: bool = False,
    ) -> None:
        self.parser = EventParser(
            last_event_id=last_event_id,
            max_event_size=plan.max_event_size,
            on_comment=on_comment,
            on_unknown=self._keep_stray if plan.rules.keeps_strays else None,
        )
        self.head = head
        self.json = None
        self.beginning = b""
        self.is_refused = False
        self.is_understood = False
        self._plan = plan
        self.request = request
        self._last = last
        self._shares_ids = shares_ids
        self._strays: Strays | None = None
        self._ahead = 0  # events of this piece that the parser returned before it was fed the rest
        if head is not None and plan.accepts_json and media_type(head) != EVENT_STREAM:
            self.json = bytearray()
            self.feed = self._collect
        elif head is not None and head.undecodable:
            self.feed = self._look
        else:
            self.feed = self._feed_of_a_stream

    @property
    def is_plain(self) -> bool:
        """Whether `feed` is the parser's own from now on."""
        return self.feed == self.parser.feed

    @property
    def shares_ids(self) -> bool:
        """Whether two events in a row had the same `id` field, in this body or in an earlier one."""
        return self._shares_ids or self.parser._repeated_ids > 0

    @property
    def completed(self) -> int:
        """While `on_comment` is called: the number of events of this piece that came before the comment."""
        return self._ahead + self.parser._completed

    @property
    def _feed_of_a_stream(self) -> Callable[[bytes], list[ServerSentEvent]]:
        may_repeat = self._plan.resume is not None and bool(self.parser.last_event_id)
        return self._feed_first if may_repeat else self.parser.feed

    def whole(self, _: bytes) -> list[ServerSentEvent]:
        """Return the JSON response as one event."""
        assert self.json is not None
        return [ServerSentEvent(data=self.json.decode("utf-8", "replace"))]

    def strays_at_end(self) -> Strays | None:
        """Return the unknown lines of a body that has ended, including an incomplete last line."""
        open_line = self.parser._open_line
        if open_line and self._plan.rules.keeps_strays and is_stray(open_line):
            self._keep_stray(open_line)
        return self._strays

    @property
    def has_open_event(self) -> bool:
        """Whether the body ended in the middle of an event, and not of an unknown line."""
        return self.parser.is_mid_block and not is_stray(self.parser._open_line)

    def _keep_stray(self, line: str) -> None:
        if self._strays is None:
            self._strays = Strays()
        self._strays.add(line)

    def _collect(self, data: bytes) -> list[ServerSentEvent]:
        """Add a piece of a JSON response."""
        assert self.json is not None
        self.json += data
        if len(self.json) > self._plan.max_event_size:
            raise EventTooLarge(f"the JSON response is larger than {self._plan.max_event_size:,} bytes")
        return []

    def _look(self, data: bytes) -> list[ServerSentEvent]:
        """
        Inspect the first bytes of a body whose `Content-Encoding` cannot be decoded here.

        Some servers send that header with a body that is not compressed. So the body is read if it is clearly an event
        stream, and refused if not.
        """
        self.beginning += data
        is_stream = begins_a_stream(self.beginning)
        if is_stream is None:
            return []
        if not is_stream:
            self.is_refused = True
            return []
        data, self.beginning = self.beginning, b""
        self.feed = self._feed_of_a_stream
        return self.feed(data)

    def _feed_first(self, data: bytes) -> list[ServerSentEvent]:
        """
        Feed the beginning of a stream that may be resumed, and drop its first event if that is a repeat.

        A server may repeat the event that it was asked to resume after. An equal ID alone does not make a repeat:
        some servers give one ID to several events, and an event without an `id` field has the ID before it.
        """
        parser, pings = self.parser, self._plan.pings
        events: list[ServerSentEvent] = []
        lines = data.splitlines(keepends=True)  # of bytes: at CR, LF and CRLF, and nowhere else
        for number, line in enumerate(lines, start=1):
            # Line by line, because the parser counts repeated IDs without saying which events have them.
            before, repeated_ids = parser.last_event_id, parser._repeated_ids
            events += parser.feed(line)
            if not events or events[-1].event in pings:
                continue
            first = events[-1]
            has_own_id = first.id != before or parser._repeated_ids > repeated_ids
            if has_own_id and not self._shares_ids and self._is_repeat(first):
                logger.info("%s: skipped the first event, because the server repeated the last one", self.request)
                del events[-1]
                parser._repeated_ids = repeated_ids
                self.is_understood = True
            elif self._last is None:
                parser._repeated_ids = 0  # the ID before it came from another stream
            self.feed = parser.feed
            self._ahead = len(events)
            try:
                events += parser.feed(b"".join(lines[number:]))
            except EventTooLarge:
                if not events:  # otherwise the next call raises it
                    raise
            finally:
                self._ahead = 0
            return events
        return events

    def _is_repeat(self, event: ServerSentEvent) -> bool:
        """Whether the event equals the last one that the user has finished with."""
        last = self._last
        return (
            last is not None
            and bool(event.id)
            and (event.id, event.event, event.data) == (last.id, last.event, last.data)
        )
