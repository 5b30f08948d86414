"""The recorded streams that lie beside the checkout, if they do; and the form in which their results are written."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from sse_client import Dialect
from sse_client.dialects import Delta, Message

from .scripts import Outcome, check_calls, cuts, parse, read

FOLDERS = [parent / "shared" / "streams" for parent in Path(__file__).resolve().parents]
STREAMS = next((folder for folder in FOLDERS if folder.is_dir()), None)


def recorded(folder: str) -> list[Any]:
    """The expected results of a folder's streams; one that is skipped if there are none."""
    if STREAMS is None:
        return [pytest.param({}, marks=pytest.mark.skip(reason="the recorded streams are not here"), id="none")]
    lines = map(json.loads, (STREAMS / "expected.jsonl").read_text().splitlines())
    return [pytest.param(line, id=line["file"]) for line in lines if line["file"].startswith(folder + "/")]


def replay(dialect: Dialect[Delta, Message], expected: dict[str, Any]) -> Outcome:
    """Read a stream in several cuts: the results are equal. Return the last one."""
    assert STREAMS is not None
    body = (STREAMS / expected["file"]).read_bytes()
    outcomes = [read(dialect, parse(pieces)) for _, pieces in cuts(body)]
    first = outcomes[0]
    for each in outcomes:
        check_calls(each)
        assert each.message.native == first.message.native
        assert [repr(delta) for delta in each.deltas] == [repr(delta) for delta in first.deltas]
    return first


def early_ends(dialect: Dialect[Delta, Message], expected: dict[str, Any]) -> list[int]:
    """After how many events a clean end would count as the end of the reply, though more comes."""
    assert STREAMS is not None
    events = parse([(STREAMS / expected["file"]).read_bytes()])
    return [count for count in range(len(events)) if read(dialect, events[:count]).is_completed]


def hidden(value: Any) -> Any:
    """A value as the expected results show it: texts by their hash and length."""
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
        return {"sha256": hashlib.sha256(data).hexdigest(), "len": len(value)}
    if isinstance(value, list):
        return [hidden(each) for each in value]
    if isinstance(value, dict):
        return {name: hidden(each) for name, each in value.items()}
    return value


def same_text(text: str, expected: Any) -> bool:
    """Whether a text is the expected one; none is as good as an empty one."""
    return hidden(text) == expected if expected else text == ""
