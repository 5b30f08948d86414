"""`help()` of each call lists every option that it accepts, with its default."""

import inspect
import subprocess
import sys
from typing import Any

import pytest

from sse_client import AsyncSSEClient, SSEClient, aiter_events, iter_events
from sse_client._parser import DEFAULT_MAX_EVENT_SIZE
from sse_client._shells.options import AsyncOptions, ReadOptions, SyncOptions

OWN = {"events", "dialect", "unknown", "comments"}
CALLS: dict[str, tuple[Any, set[str]]] = {
    f"{client.__name__}.{name}": (getattr(client, name), {*options.__optional_keys__, *OWN})
    for client, options in ((SSEClient, SyncOptions), (AsyncSSEClient, AsyncOptions))
    for name in ("stream", "post", "get", "subscribe")
}
CALLS |= {each.__name__: (each, {*ReadOptions.__optional_keys__, *OWN}) for each in (iter_events, aiter_events)}


def listed(text: str) -> set[str]:
    """The options that a docstring lists: names before a colon or commas, at the first indentation."""
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ") and line[4] != " "]
    return {name for line in lines for name in line.partition(":")[0].split(", ")}


@pytest.mark.parametrize("name", CALLS)
def test_every_option(name: str) -> None:
    """The docstring lists exactly the options of the call."""
    call, options = CALLS[name]
    assert listed(str(inspect.getdoc(call))) == options


@pytest.mark.parametrize("name", CALLS)
def test_defaults(name: str) -> None:
    """The listed defaults are those of the code."""
    text = str(inspect.getdoc(CALLS[name][0]))
    assert f"max_event_size: int = {DEFAULT_MAX_EVENT_SIZE}\n" in text
    assert inspect.signature(CALLS[name][0]).parameters["comments"].default is False
    assert "comments: bool = False\n" in text


def test_without_docstrings() -> None:
    """The package can be imported with `-OO`, without docstrings."""
    code = "import sse_client; print(sse_client.SSEClient.post.__doc__)"
    ran = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "None\n"
