"""
`RESPONSES_RESUME`: how the stream of an OpenAI response goes on after a cut.

Only a response that runs in the background can: its events are numbered, and the server keeps them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast
from urllib.parse import parse_qsl, quote

from sse_client import Cursor, Request, ServerSentEvent

from ._reader import as_dict, as_text


def advance(cursor: tuple[str, int] | None, event: ServerSentEvent) -> tuple[str, int] | None:
    """Return the ID of the response and the number of the event; `None` unless it runs in the background."""
    if cursor is None and "background" not in event.data:
        return None
    try:
        fields = as_dict(event.json())
    except ValueError:
        return cursor
    number = fields.get("sequence_number")
    if not isinstance(number, int):
        return cursor
    if cursor is not None:
        return cursor[0], number
    response = as_dict(fields.get("response"))
    name = as_text(response.get("id"))
    return (name, number) if name and response.get("background") is True else None


def request_after(cursor: tuple[str, int] | None, request: Request) -> Request | None:
    """Make the request for the events after the cursor: `GET {url}/{id}?stream=true&starting_after={number}`."""
    if cursor is None:
        return None
    name, number = cursor
    path, _, query = request.url.partition("?")
    params = [*pairs_of(request.params, query), ("stream", "true"), ("starting_after", str(number))]
    url = f"{path.rstrip('/')}/{quote(name, safe='')}"
    return replace(request, method="GET", url=url, params=params, json=None, content=None, data=None, files=None)


def pairs_of(params: Any, query: str) -> list[tuple[str, Any]]:
    """Return the parameters of a call, in any of the forms that httpx takes; without any those of its URL."""
    if params is None:
        return parse_qsl(query, keep_blank_values=True)
    if isinstance(params, str | bytes):
        return parse_qsl(params if isinstance(params, str) else params.decode("ascii"), keep_blank_values=True)
    if hasattr(params, "multi_items"):
        return list(params.multi_items())
    if not isinstance(params, Mapping):
        return list(params)
    pairs: list[tuple[str, Any]] = []
    values: Any
    for name, values in cast("Mapping[str, Any]", params).items():
        pairs += [(name, each) for each in (values if values.__class__ in (list, tuple) else [values])]
    return pairs


RESPONSES_RESUME: Cursor[tuple[str, int] | None] = Cursor(None, advance, request_after)
"""
Resume a response that runs in the background: its ID, and the number of the last event.

`None` stands for a response that does not: if its stream breaks, the error is raised. To go on in another process, keep
the cursor, and pass `dataclasses.replace(RESPONSES_RESUME, initial=cursor)` in the next call.
"""
