"""
One stream from its first request to its end, as decisions without I/O.

A shell calls `next_step(now)`, executes the step, and reports the result:

    Connect     send a request             responded(head) or not_responded(failure)
    Read        read the next piece        received(data), ended() or lost(failure)
    ReadBody    read the body of an error  refused(body)
    Drain       read to the end, briefly   drained()
    Wait        close the response, and wait
    Stop        close the response; raise the error, or end the iteration

The events that a piece completed are in `ready`, an iterator. The shell delivers them before it calls `next_step`
again; that call means that the user has finished with them. A resume begins after the last finished event.

The parts that decide are separate modules, whose functions return values. Only the session changes its phase.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from operator import length_hint
from typing import TypeGuard

from .._errors import ErrorEventReceived, EventTooLarge, SSEError, StreamInterrupted, StreamTimeout, StreamTruncated
from .._event import ServerSentEvent
from .._marks import DONE
from .attempts import Again, Fault, Situation, connect, explain, loss_of, refusal_of, verdict
from .bodies import Body
from .clocks import connecting_clock, has_elapsed, silence, total_deadline
from .endings import clean_end, end_of_body, stray_error, unfinished_terminator
from .notes import drop_after, follow_events, next_note
from .phases import TRANSITIONS, Outcome, Phase, failed_outcome, outcome_of
from .place import place_of
from .plan import Plan, label
from .redirects import Follow, Refuse, follow
from .responses import error_of, is_accepted, is_stream, is_text, no_response
from .state import NO_EVENTS, SessionState
from .steps import Commented, Drain, Failure, Head, Note, Opened, Read, ReadBody, Retrying, Step, Stop, Wait

logger = logging.getLogger("sse_client")

# Enough for any error page worth reading; a body of errors may never end.
MAX_BODY = 64 * 1024
MAX_BODY_SECONDS = 5.0

# After a terminator there is a last chunk, and sometimes a comment. To read more would cost more than a new connection.
MAX_DRAIN = 64 * 1024
MAX_DRAIN_SECONDS = 0.1

READ = Read()
DRAIN = Drain(MAX_DRAIN, MAX_DRAIN_SECONDS)


class Session(SessionState):
    """
    The decisions of one stream. The docstring of the module describes how a shell uses it.

    Only one thread or task may use it at a time, except `close` and `settle`, which any thread may call at any time.
    """

    __slots__ = ()

    def __init__(self, plan: Plan, *, random: Callable[[], float], utc_now: Callable[[], datetime]) -> None:
        super().__init__(plan, random=random, utc_now=utc_now, on_comment=self._take_comment)

    def begin(self) -> None:
        """
        Check that the user may begin a loop, a dispatch or an accumulation.

        Raises `RuntimeError` if the user knows that the stream is over, or has left it: another loop would look like an
        empty stream. After `close()` it does not raise, because a user may press Stop before the loop begins.
        """
        if self._is_told:
            text = f"this stream is over ({self.outcome}), and can be read only once: make a new request"
            raise RuntimeError(text) from self._error

    def close(self, outcome: Outcome = "cancelled") -> None:
        """End the stream at the next step; from now on, deliver no event and send no request. For any thread."""
        if not self.is_closing:
            self._closing_outcome = outcome
        self.is_closing = True
        left = length_hint(self.ready)
        if self.reading is not None and self.reading.drop():
            left += 1  # an event with undelivered values is not finished
        if left:
            self._is_cut_short = True
            del self._batch[-left:]  # this also ends `ready`, even if a loop is iterating it

    def renew_ready(self) -> None:
        """Put the events that are left in `ready` into a new iterator, and end the old one wherever it is in use."""
        batch, delivered = self._batch, self._delivered
        self._batch = batch[:]
        self.ready = iter(self._batch)
        for _ in batch[:delivered]:
            next(self.ready)
        del batch[delivered:]

    def finish_closing(self, now: float) -> None:
        """Stop the closed stream; called between two steps."""
        if self._phase != "stopped":
            is_complete = self._phase == "draining" and self._error is None and not self._is_cut_short
            self._stop(None, now, "completed" if is_complete else self._closing_outcome)

    def drop_read_ahead(self) -> None:
        """Record that the user closed the stream before the events that were read ahead could be delivered."""
        if self.outcome == "completed":
            self.outcome = self._closing_outcome

    def settle(self, outcome: Outcome) -> None:
        """Fix the outcome as the user saw it, however far the shell has read ahead. For any thread."""
        self._settled = self._closing_outcome if self.is_closing else outcome
        if self.outcome is not None:
            self.outcome = self._settled

    def leave(self, error: BaseException | None, now: float) -> None:
        """End the stream because the user left it: at the end of their own code, or by an exception in it."""
        left = length_hint(self.ready)
        is_mid_event = self.reading is not None and self.reading.is_mid_event
        self._is_told = True
        if error is None and not is_mid_event:
            self._finish_batch(now)
        else:
            # The event on which the user's code failed is not finished: a resume begins after the event before it.
            if self._remembers:
                with suppress(Exception):  # from the user's own code; it must not hide the reason for leaving
                    self._place.remember(self._batch[: max(self._delivered - 1, 0)])
            self._previous = self._batch[: self._delivered] or self._previous
            self._finished_id, self._finished = self.last_event_id, self._finished + self._delivered
            self._batch = []
        self.ready = iter(())
        has_failed = not (error is None or isinstance(error, GeneratorExit))
        has_left = bool(left) or is_mid_event
        is_complete = self._phase == "draining" and self._error is None and not has_left and not has_failed
        if self._phase == "stopped" or is_complete:
            return  # after the terminator nothing can fail, and the connection can be reused
        self._stop(None, now, self._closing_outcome if self.is_closing else outcome_of(error))

    def drop(self, now: float) -> None:
        """End the stream because nothing refers to it any more."""
        self.leave(GeneratorExit(), now)
        self.drained(now)  # the rest of a complete stream no longer matters

    def note_unknown(self) -> None:
        """Count a delivered event that the user's type does not cover."""
        self._tally.unknown += 1

    def next_step(self, now: float) -> Step:
        """Return the next step. The call also means that the user has finished with all events of `ready`."""
        if self._batch:
            self._finish_batch(now)
        if self._phase == "reading" and not self.is_closing and not self.has_deadlines:
            return READ  # the usual case
        if self.is_closing:
            self.finish_closing(now)
        if self._phase == "reading":
            deadline, clock = self._deadline()
            if now >= deadline:
                self._time_out(clock, now)
        if self._phase == "pausing" and now >= self._wait_until:
            self._enter("connecting")
        if self._phase == "draining":
            self._reconsider(now)
        match self._phase:
            case "connecting":
                return self._connect(now)
            case "reading":
                return READ
            case "refusing":
                return ReadBody(MAX_BODY, min(MAX_BODY_SECONDS, self._left(now)))
            case "draining":
                return DRAIN
            case "pausing":
                return Wait(self._wait_until - now)
            case _:
                if not self.is_closing or self._error is not None:
                    self._is_told = True
                return Stop(self._error)

    def _reconsider(self, now: float) -> None:
        """Judge the end of a stream again, now that the user has received all events before it."""
        error, reading = self._error, self.reading
        if self._may_pass(error):
            self._fail(Fault(error=error), now, starts_over=True)
            return
        # [DONE] instead of the dialect's terminator counts as a clean end, and so does the end of a JSON body.
        is_clean_end = isinstance(error, StreamTruncated) or (error is None and self._body.json is not None)
        if is_clean_end and reading is not None and not self._plan.is_terminator_required:
            self._error = clean_end(self._plan, reading, self._so_far)
        if not (self.head is None or self.head.can_stop_reads()):
            self.drained(now)

    def _may_pass(self, error: SSEError | None) -> TypeGuard[ErrorEventReceived]:
        """Whether this is an error of the server's that another attempt may do without, and would double nothing."""
        return isinstance(error, ErrorEventReceived) and error.is_transient and not self._has_delivered

    def _start(self, now: float) -> None:
        if self._tally.started_at is None:
            self._tally.started_at = now
            self.total_deadline = total_deadline(self._plan.timeouts, now)

    def _connect(self, now: float) -> Step:
        self._start(now)
        self.attempted_at = now
        last_event_id, left = self._finished_id, self._left(now)
        try:
            step = connect(self._plan, self._place, self._request, self._route, last_event_id=last_event_id, left=left)
        except ValueError as error:
            interrupted = StreamInterrupted(f"the stream cannot be resumed: {error}")
            interrupted.__cause__ = self._last_failure
            self._stop(interrupted, now)
            return Stop(self._error)
        if not self._route.hops:
            self._tally.attempts += 1
        return step

    def responded(self, head: Head, now: float) -> None:
        """Handle the head of a response."""
        self.head = head
        self._body.beginning = b""
        self._start(now)  # a response that the user passed in had no `Connect` step
        if self._is_over:
            return
        if isinstance(redirect := self._redirect(head), Follow):
            self._route = self._route.followed(redirect)
            self._enter("connecting")
        elif is_stream(head, self._plan, has_begun=self._has_begun):
            self._open(head, now)
        elif head.status_code == 204:
            is_end = self._plan.rules.ends_at_204 or not self._has_begun
            self._stop(None if is_end else clean_end(self._plan, self.reading, self._so_far), now)
        else:
            self._enter("refusing")

    def _redirect(self, head: Head) -> Follow | Refuse | None:
        return follow(head, self._request, self._route, cross_origin=self._plan.cross_origin_redirects)

    def _open(self, head: Head, now: float) -> None:
        """Start to read a response that is a stream."""
        plan = self._plan
        self._tally.opened(now)
        self._place.opened(head, self._route)
        if plan.rules.resets_on_open:
            self._failures = 0
        if self._has_begun:
            self._past_ids = self._place.past_ids(self._finished_id)
            if self.reading is not None:
                self.reading.resumed()
        self._has_refreshed = False
        self._note(Opened(head.response))
        self._at_open = self._finished, self._tally.comments, self._finished_id
        self._body = body = Body(
            plan,
            head,
            self._finished_id,
            on_comment=self._take_comment,
            request=label(self._request),
            last=self._previous[-1] if self._previous else None,
            shares_ids=self._body.shares_ids,
        )
        self._parser = body.parser
        self._feed = body.feed if body.is_plain else self._feed_beginning
        self._enter("reading")
        self._received_at = self._waiting_since = now

    def not_responded(self, failure: Failure, now: float) -> None:
        """Handle a request without a response."""
        if self._is_over:
            return
        timeouts = self._plan.timeouts
        clock = connecting_clock(timeouts, failure, self._tally.started_at, self.attempted_at, now)
        if clock == "total":
            self._time_out(clock, now, failure.cause)
            return
        error = no_response(failure, label(self._request), clock, timeouts)
        self._fail(Fault(error=error, is_worth_it=not failure.is_final, is_ambiguous=failure.was_sent), now)

    def refused(self, body: bytes, now: float) -> None:
        """Handle the body of a response that is not a stream."""
        if self._is_over:
            return
        head, plan, has_begun, request = self.head, self._plan, self._has_begun, label(self._request)
        assert head is not None
        if is_accepted(head, body, plan, has_begun=has_begun):
            self._stop(None, now)
            return
        body = (self._body.beginning + body)[:MAX_BODY]
        redirect = self._redirect(head)
        why = redirect.why if isinstance(redirect, Refuse) else ""
        error = error_of(head, body, plan, request, has_begun=has_begun, refusal=why)
        can_refresh = plan.can_refresh and not self._has_refreshed and not self._route.is_foreign
        fault = refusal_of(error, plan, self._request, self._utc_now(), can_refresh=can_refresh, has_begun=has_begun)
        if isinstance(fault, Fault):
            self._fail(fault, now)
            return
        self._has_refreshed = True
        self._route = self._route.again()
        self._enter("connecting")
        logger.info("%s returned 401: requesting its headers again", request)

    def received(self, data: bytes, now: float) -> bool:
        """Handle a piece of the body; return whether it put events into `ready`, which must be used up before."""
        if batch := self._batch:
            self._finished += len(batch)
            self._previous = batch
            if self._remembers:
                self._place.remember(batch)
            self._batch = NO_EVENTS
        self._finished_id = self._parser.last_event_id  # may come from a block after the last event that has only an ID
        self._bytes += len(data)
        self._received_at = now
        try:
            events = self._feed(data)
        except EventTooLarge as error:
            if not self._is_over:
                self._stop(error, now)
            return False
        if not events or self._phase != "reading":
            return False
        if self._has_only_done:
            for event in events:
                if event.data == DONE and event.event == "message":
                    index = events.index(event)
                    self._seal(index, last=event)
                    events = events[:index]
                    break
        elif self._has_marks:
            if pings := self._pings:
                for event in events:
                    if event.event in pings:
                        events = self._without_pings(events)
                        break
            ending = self._first_mark(events, self._past_ids, self._finished_id)
            if ending is not None:
                self._seal(ending.index, ending.error, ending.event if ending.is_done else None)
                events = events[: ending.count]
        if not events:
            return self.reading is not None and self.reading.last is not None
        if now - self._event_at > self._longest_gap:
            self._note_gap(now)
        self._event_at = now
        self._failures = 0
        self._batch = events
        self.ready = iter(events)
        if self.is_closing:
            self.close()  # again, because these events were added after it was called
            return False
        return True

    def _feed_beginning(self, data: bytes) -> list[ServerSentEvent]:
        """Feed a body whose first pieces do not go straight to the parser."""
        body = self._body
        events = body.feed(data)
        if body.is_refused:
            self._enter("refusing")
        elif body.is_plain:
            self._feed = body.feed
        return events

    def _without_pings(self, events: list[ServerSentEvent]) -> list[ServerSentEvent]:
        self._body.is_understood = True
        left = [event for event in events if event.event not in self._pings]
        if self.notes:
            follow_events(self.notes, self._finished, events, left)
        return left

    def _note_gap(self, now: float) -> None:
        """Record the longest gap so far, or the first event, which has no gap before it."""
        if self._has_event:
            self._longest_gap = now - self._event_at
        else:
            self._has_event = True
            self._tally.first_event(now)

    def _seal(self, index: int, error: SSEError | None = None, last: ServerSentEvent | None = None) -> None:
        """
        Ignore everything after the event at this index of its piece, including failures.

        `last` is the terminator if it is not delivered as an event: a reader still makes values of it.
        """
        self._error = error
        if self.reading is not None:
            self.reading.last = last
        self._enter("draining")
        if self.notes:
            drop_after(self.notes, self._finished + index)

    def next_note(self) -> Note | None:
        """Remove and return the first note, if it came before the next event of `ready`."""
        assert self.notes is not None
        return next_note(self.notes, self._finished + self._delivered)

    def _take_comment(self, text: str) -> None:
        self._tally.comments += 1
        if self.notes is not None:
            # All events before this piece have been delivered.
            self.notes.append(Commented(text, self._finished + self._body.completed))

    def _note(self, note: Opened | Retrying) -> None:
        if self.notes is not None:
            self.notes.append(note)
        if self.observe is not None:
            self.observe(note)

    def ended(self, now: float) -> bool:
        """Handle a clean end of the body; return whether there is another event or value to deliver."""
        self._finish_batch(now)
        if self._is_over:
            return False
        if self._phase != "reading":
            self.drained(now)
            return False
        return self._body_ended(now) if self._body.json is None else self._json_ended(self._body.json, now)

    def _json_ended(self, json: bytearray, now: float) -> bool:
        body, head = self._body, self.head
        assert head is not None
        if is_accepted(head, json, self._plan, has_begun=self._has_begun):
            self._stop(None, now)
            return False
        if head.undecodable and not is_text(json):
            body.beginning = bytes(json)
            self._enter("refusing")
            return False
        self._feed = body.whole
        has_event = self.received(b"", now)
        if self._phase == "reading":
            self._seal(0)
        return has_event

    def _body_ended(self, now: float, *, is_whole: bool = True) -> bool:
        body, parser, plan = self._body, self._parser, self._plan
        try:
            parser.feed(body.beginning)
        except EventTooLarge as error:
            self._stop(error, now)
            return False
        self.unfinished = unfinished_terminator(parser, plan)
        known = self._finished, self._tally.comments, parser.last_event_id
        end = (
            None
            if self.unfinished is not None
            else end_of_body(
                body,
                plan,
                self.reading,
                self._so_far,
                self._utc_now(),
                is_whole=is_whole,
                is_understood=body.is_understood or known != self._at_open or parser.reconnection_time is not None,
                has_begun=self._has_begun,
            )
        )
        if isinstance(end, Fault) or self._may_pass(end):
            fault = end if isinstance(end, Fault) else Fault(error=end)
            self._fail(fault, now, starts_over=fault is not end)
            return False
        can_resume = self._remembers and self._finished > 0 and self._place.has_id(self._finished_id)
        if end is None and self.unfinished is None and can_resume:
            # If a server dies, some proxies end its body cleanly: then the connection was really lost.
            logger.info("%s ended without a terminator%s", label(self._request), self._so_far)
        self._stop(end, now)
        if self.unfinished is None or self.reading is None:
            return False
        self.reading.last = self.unfinished
        return True

    def lost(self, failure: Failure, now: float) -> None:
        """Handle a body that broke off."""
        deadline, clock = self._deadline()
        self._finish_batch(now)
        if self._is_over:
            return
        if self._phase != "reading":
            self.drained(now)
        elif now >= deadline or (failure.is_deadline and clock):
            self._time_out(clock, now, failure.cause)
        elif failure.is_timeout and has_elapsed(self._plan.timeouts.read, self._received_at, now):
            self._time_out("read", now, failure.cause)
        elif failure.is_early_end:
            self._body_ended(now, is_whole=False)
        elif (stray := stray_error(self._body.strays_at_end(), self._plan, self._parser.last_event_id)) is not None:
            # An error in an event would have ended the stream before this.
            stray.__cause__ = failure.cause
            if self._may_pass(stray):
                self._fail(Fault(error=stray), now, starts_over=True)
            else:
                self._stop(stray, now)
        else:
            error = StreamInterrupted(f"the connection was lost{self._so_far}: {failure.text}")
            error.__cause__ = failure.cause
            self._fail(Fault(error=error, is_ambiguous=True), now)

    def drained(self, now: float) -> None:
        """Handle the end of draining."""
        if self._phase == "draining":
            self._stop(self._error, now)

    def _time_out(self, clock: str, now: float, cause: Exception | None = None) -> None:
        error = StreamTimeout(f"{silence(self._plan.timeouts, clock)}{self._so_far}", clock=clock)
        error.__cause__ = cause
        if clock == "total":
            self._stop(error, now)
        else:
            self._fail(Fault(error=error, is_ambiguous=True), now)

    def _fail(self, fault: Fault, now: float, *, starts_over: bool = False) -> None:
        """
        Handle a failure of an attempt or of an open stream: try again if that is allowed and may help, otherwise stop.

        `starts_over` means that the next attempt repeats the first request, even if events were received.
        """
        rules, has_begun = self._plan.rules, self._has_begun and not starts_over
        self._failures += 1
        if self.reading is not None and not has_begun:
            # Events without a value of the reader have reset the number of failures, but were not progress.
            self._failures = self._fruitless = max(self._fruitless + 1, self._failures)
        error = self._last_failure = fault.error
        error.stats = self.stats(now)
        if (has_begun or rules.reconnects) and self._parser.reconnection_time is not None:
            self._reconnection_time = self._parser.reconnection_time / 1000
        situation = Situation(
            attempts=self._tally.attempts,
            failures=self._failures,
            has_begun=has_begun,
            last_event_id=self._finished_id,
            reconnection_time=self._reconnection_time,
            left=self._left(now),
        )
        decision = verdict(self._plan, self._place, fault, situation, random=self._random)
        if isinstance(decision, Again):
            self._try_again(error, decision, now, has_begun=has_begun)
            return
        if has_begun and not rules.reconnects:
            error = loss_of(error, self._failures, self._so_far)
        self._stop(error, now, why=decision.why)

    def _try_again(self, error: SSEError, again: Again, now: float, *, has_begun: bool) -> None:
        name, said = label(self._request), str(error)
        said = said if name in said else f"{name}: {said}"
        logger.info("%s; attempt %d follows in %.2f s", said, self._tally.attempts + 1, again.delay)
        self._note(Retrying(error, again.delay))
        self._request = again.request
        self._route = self._place.next_route(self._route, has_begun=has_begun)
        if self.reading is not None and not has_begun:
            # The user received nothing from the earlier events, so they no longer count, nor do their IDs.
            self.reading.start_over()
            self._place, self._finished_id = place_of(self._plan), self._plan.last_event_id
            self._previous, self._error = NO_EVENTS, None
        self._wait_until = now + again.delay
        self._enter("pausing")

    def _stop(self, error: SSEError | None, now: float, outcome: Outcome = "completed", *, why: str = "") -> None:
        """Enter the last phase, with the outcome and, if there is an error, with its details added."""
        self.outcome = outcome if error is None else failed_outcome(error)
        if self._settled is not None:  # after the outcome was set: `settle` may come from another thread
            self.outcome = self._settled
        self._enter("stopped")
        self._error = error
        self._tally.stopped_at = now
        if error is not None:
            explain(error, why, self.stats(now), self.last_event_id, self.cursor)
        if self.observe is not None:
            self.observe(Stop(error))

    def _enter(self, phase: Phase) -> None:
        # Two threads may stop a stream at the same moment: the one that reads it and the one that closes it.
        is_possible = phase in TRANSITIONS[self._phase] or phase == self._phase == "stopped"
        assert is_possible, f"from {self._phase} to {phase}"
        self._phase = phase
        # The user's own code may raise, which a shell expects only from `next_step`.
        runs_user_code = self._place.runs_user_code or self._plan.runs_user_code
        self.is_reading = phase == "reading" and not self.has_deadlines and not runs_user_code

    def _finish_batch(self, now: float) -> None:
        """Record that the user has finished with the delivered events. `received` does the same for a whole batch."""
        batch, self._batch = self._batch, []
        if left := length_hint(self.ready):
            batch = batch[:-left]  # the stream was closed, or left, in the middle
        self._finished += len(batch)
        if batch:
            self._previous = batch
            self._waiting_since = now
        if self._remembers:
            self._place.remember(batch)
        if self._phase == "reading" and not left and not self._is_cut_short:
            self._finished_id = self._parser.last_event_id
        elif batch:
            self._finished_id = batch[-1].id
