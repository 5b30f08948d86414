"""The events of a response that the user already has: nothing is requested, and nothing is retried."""

from typing import Any, Literal, Unpack, overload

from typing_extensions import TypeForm, TypeVar

from .._dialect import Dialect
from .._event import Comment, ServerSentEvent
from .._types import HTTPResponse
from .async_ import AsyncEventStream
from .help import with_reading_options
from .http import library_of
from .options import ReadOptions, dialect_of, plan_of
from .sync import EventStream

E = TypeVar("E")
S = TypeVar("S")


@overload
def iter_events(
    response: HTTPResponse, *, comments: Literal[False] = False, **options: Unpack[ReadOptions]
) -> EventStream[ServerSentEvent]: ...
@overload
def iter_events(
    response: HTTPResponse,
    *,
    comments: Literal[True],
    dialect: Dialect[ServerSentEvent, Any] | None = None,
    **options: Unpack[ReadOptions],
) -> EventStream[ServerSentEvent | Comment]: ...
@overload
def iter_events(
    response: HTTPResponse,
    *,
    events: TypeForm[E],
    dialect: Dialect[Any] | None = None,
    unknown: Literal["keep"],
    **options: Unpack[ReadOptions],
) -> EventStream[E | ServerSentEvent]: ...
@overload
def iter_events(
    response: HTTPResponse,
    *,
    events: TypeForm[E],
    dialect: Dialect[Any] | None = None,
    unknown: Literal["skip", "raise"] = "skip",
    **options: Unpack[ReadOptions],
) -> EventStream[E]: ...
@overload
def iter_events(
    response: HTTPResponse, *, dialect: Dialect[E, S], **options: Unpack[ReadOptions]
) -> EventStream[E, S]: ...
@with_reading_options
def iter_events(
    response: HTTPResponse,
    *,
    events: Any = None,
    dialect: Any = None,
    unknown: Any = None,
    comments: bool = False,
    **options: Unpack[ReadOptions],
) -> Any:
    """
    Iterate over the events of a response of httpx or httpx2 that you requested with `stream=True`.

    Raises `StatusError` or `ContentTypeError`, at the first event, if it is not an event stream. Nothing is retried.
    """
    library = library_of(response, "Response")
    dialect = dialect_of(events, dialect, unknown)
    return EventStream(plan_of(response, options, dialect), library, dialect, None, None, response, comments=comments)


@overload
def aiter_events(
    response: HTTPResponse, *, comments: Literal[False] = False, **options: Unpack[ReadOptions]
) -> AsyncEventStream[ServerSentEvent]: ...
@overload
def aiter_events(
    response: HTTPResponse,
    *,
    comments: Literal[True],
    dialect: Dialect[ServerSentEvent, Any] | None = None,
    **options: Unpack[ReadOptions],
) -> AsyncEventStream[ServerSentEvent | Comment]: ...
@overload
def aiter_events(
    response: HTTPResponse,
    *,
    events: TypeForm[E],
    dialect: Dialect[Any] | None = None,
    unknown: Literal["keep"],
    **options: Unpack[ReadOptions],
) -> AsyncEventStream[E | ServerSentEvent]: ...
@overload
def aiter_events(
    response: HTTPResponse,
    *,
    events: TypeForm[E],
    dialect: Dialect[Any] | None = None,
    unknown: Literal["skip", "raise"] = "skip",
    **options: Unpack[ReadOptions],
) -> AsyncEventStream[E]: ...
@overload
def aiter_events(
    response: HTTPResponse, *, dialect: Dialect[E, S], **options: Unpack[ReadOptions]
) -> AsyncEventStream[E, S]: ...
@with_reading_options
def aiter_events(
    response: HTTPResponse,
    *,
    events: Any = None,
    dialect: Any = None,
    unknown: Any = None,
    comments: bool = False,
    **options: Unpack[ReadOptions],
) -> Any:
    """
    Iterate over the events of a response of httpx or httpx2 that you requested with `stream=True`.

    Raises `StatusError` or `ContentTypeError`, at the first event, if it is not an event stream. Nothing is retried.
    """
    library = library_of(response, "Response")
    dialect = dialect_of(events, dialect, unknown)
    return AsyncEventStream(
        plan_of(response, options, dialect), library, dialect, None, None, response, comments=comments
    )
