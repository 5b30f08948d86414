"""
The queue of notes, in order with the events: a comment records how many events of the stream came before it.

These functions keep that order when events of the latest piece are dropped. `finished` is the number of events before
that piece.
"""

from collections import deque
from collections.abc import Sequence
from itertools import accumulate

from .._event import ServerSentEvent
from .steps import Commented, Note


def next_note(notes: deque[Note], delivered: int) -> Note | None:
    """Remove and return the first note, if it came before the next event to deliver."""
    if not notes or (isinstance(notes[0], Commented) and notes[0].after > delivered):
        return None
    return notes.popleft()


def drop_after(notes: deque[Note], count: int) -> None:
    """Drop the comments that came after more than `count` events of the stream."""
    while notes and isinstance(last := notes[-1], Commented) and last.after > count:
        notes.pop()


def follow_events(
    notes: deque[Note], finished: int, received: Sequence[ServerSentEvent], left: Sequence[ServerSentEvent]
) -> None:
    """Renumber the comments of a piece to match the events that are left of it."""
    kept = set(map(id, left))
    places = [0, *accumulate(id(event) in kept for event in received)]
    for index, note in enumerate(notes):
        if isinstance(note, Commented) and note.after > finished:
            notes[index] = Commented(note.text, finished + places[note.after - finished])
