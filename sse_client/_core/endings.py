"""
The end of a stream: at a marked event, or at the end of its body. The functions return it as a value.

`Marks.first` sees every event of a stream with marks, so it searches the raw text before it parses anything. The other
functions are for the end of a body, which may be a terminator, an error outside any event, or too early.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from .._errors import ContentTypeError, ErrorEventReceived, SSEError, StreamInterrupted, StreamTruncated, quote, shown
from .._event import ServerSentEvent
from .._marks import DONE, ErrorEvent, Terminator, is_done, needles_of
from .._parser import EventParser
from .attempts import Fault, fault_of
from .bodies import Body
from .plan import DONE_EVENT, Plan
from .reading import Reading
from .strays import Strays

# The marks that end a stream by default.
UNNAMED_DONE = Terminator(data=DONE_EVENT.data, event=DONE_EVENT.event)
ANY_ERROR = ErrorEvent(event="error")


@dataclass(frozen=True, slots=True)
class Ending:
    """An event that ends its stream."""

    event: ServerSentEvent
    index: int
    """Its index among the events of its piece."""
    is_delivered: bool = False
    is_done: bool = False
    """Whether it is `[DONE]`, which only a reader receives."""
    error: SSEError | None = None

    @property
    def count(self) -> int:
        """The number of events of the piece that are delivered."""
        return self.index + self.is_delivered


class Marks:
    """The events that end a stream: its terminator, its errors, `[DONE]`, and an ID that must not come again."""

    __slots__ = ("_ends_at_done", "_errors", "_names", "_terminator", "_tests", "_texts")

    def __init__(self, plan: Plan) -> None:
        self._errors = plan.errors
        self._terminator = plan.terminator
        self._ends_at_done = plan.ends_at_done
        needles = needles_of(plan.errors, plan.terminator)
        self._texts = None if needles is None else needles.texts
        self._names = None if needles is None else needles.names
        self._tests = None if needles is None else needles.tests

    def first(self, events: Iterable[ServerSentEvent], past_ids: frozenset[str], last_event_id: str) -> Ending | None:
        """Return the first event that ends the stream. `last_event_id` is for the text of an error."""
        texts, names, tests = None if past_ids else self._texts, self._names, self._tests
        for index, event in enumerate(events):
            data = event.data
            if texts is not None:
                # Nearly all events leave the loop here. A search for one character is five times as fast as for two.
                for text in texts:
                    if text in data:
                        break
                else:
                    if (
                        ("\\" not in data or "\\u" not in data)
                        and (data != DONE or event.event != "message")
                        and (names is None or event.event not in names)
                        and (tests is None or not any(test(event) for test in tests))
                    ):
                        continue
            if event.id in past_ids:
                text = f"the server started over: event {quote(event.id)} came again after {quote(last_event_id)}"
                return Ending(event, index, error=StreamInterrupted(text))
            errors, terminator = self._errors, self._terminator
            if errors is not None and (mark := errors.match(event)) is not None:
                return Ending(event, index, error=error_event("the server sent an error event", event, mark))
            if self._ends_at_done and is_done(event):
                is_asked_for = terminator is None or terminator.match(event) is not None
                error = None if is_asked_for else StreamTruncated("the server sent [DONE], and no terminator")
                return Ending(event, index, is_done=True, error=error)
            if terminator is not None and terminator.match(event) is not None:
                return Ending(event, index, is_delivered=True)
        return None


def error_event(text: str, event: ServerSentEvent, mark: ErrorEvent) -> ErrorEventReceived:
    """Return the error that the server sent in an event; its message begins with the text."""
    message, code = mark.read(event)
    if message:
        text = f"{text}: {quote(message)}"
    if code is not None:
        text = f"{text} (code {quote(shown(code))})"
    return ErrorEventReceived(text, event=event, code=code, message=message, is_transient=mark.is_transient(code))


def unfinished_terminator(parser: EventParser, plan: Plan) -> ServerSentEvent | None:
    """Return the incomplete last block of a body, if only its blank line is missing to make it the terminator."""
    event = parser._unfinished()
    terminator = plan.terminator or (UNNAMED_DONE if plan.ends_at_done else None)
    if event is None or terminator is None:
        return None
    open_field = parser._open_line.partition(":")[0]
    if open_field == "retry":
        open_field = ""  # like a comment, whose field is "": it does not belong to the event
    return None if terminator._match_unfinished(event, open_field) is None else event


def stray_error(strays: Strays | None, plan: Plan, last_event_id: str) -> ErrorEventReceived | None:
    """Return the error that the server reported in lines outside any event, or `None`."""
    event = None if strays is None else strays.error()
    if event is None:
        return None
    event.id = last_event_id
    mark = None if plan.errors is None else plan.errors.match(event)  # the user's mark may say how to read it
    return error_event("the server sent an error outside any event", event, mark or ANY_ERROR)


def clean_end(
    plan: Plan, reading: Reading | None, so_far: str, *, is_whole: bool = True, is_mid_block: bool = False
) -> StreamTruncated | None:
    """
    Return the error of a stream that the server closed cleanly, or `None` if nothing is missing.

    `is_whole` says whether a compressed body was complete, `is_mid_block` whether an event had begun.
    """
    is_complete = None if reading is None else reading.is_complete
    if plan.terminator is not None and plan.is_terminator_required:
        lack = "before its terminator"
    elif is_complete:
        return None
    elif is_complete is False:
        lack = "before the reply was complete"
    elif not is_whole:
        lack = "before the end of its compressed body"
    elif is_mid_block:
        lack = "in the middle of the next"
    else:
        return None
    return StreamTruncated(f"the stream ended{so_far}, {lack}")


def end_of_body(
    body: Body,
    plan: Plan,
    reading: Reading | None,
    so_far: str,
    now: datetime,
    *,
    is_whole: bool,
    is_understood: bool,
    has_begun: bool,
) -> Fault | SSEError | None:
    """
    Judge a clean end of the body that was not a terminator.

    Returns a fault, if another attempt may help; an error, if the stream is over; or `None`, if it is complete.
    `is_understood` says whether the body had anything other than unknown lines.
    """
    if plan.rules.reconnects:
        return Fault(error=StreamTruncated("the server ended the stream"))
    strays = body.strays_at_end()
    if (error := stray_error(strays, plan, body.parser.last_event_id)) is not None:
        return error
    if strays is not None and not is_understood and not body.has_open_event:
        return fault_of(_only_strays(strays, body), plan, now, has_begun=has_begun)
    truncated = clean_end(plan, reading, so_far, is_whole=is_whole, is_mid_block=body.parser.is_mid_block)
    return None if truncated is None else Fault(error=truncated, is_ambiguous=True)


def _only_strays(strays: Strays, body: Body) -> ContentTypeError:
    head = body.head
    assert head is not None
    text = f"expected events from {body.request}, got text that is not an event stream"
    return ContentTypeError(
        f"{text} (status {head.status_code}): {quote(strays.first)}",
        status_code=head.status_code,
        headers=head.headers,
        body=strays.body,
    )
