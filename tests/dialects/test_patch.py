"""JSON Patch: changes to a document that share all that they leave alone."""

from typing import Any

import pytest

from sse_client.dialects._patch import patched

DOCUMENT: dict[str, Any] = {"a": {"b": [1, 2, {"c": 3}]}, "x/y": {"~": 0}, "n": None}


@pytest.mark.parametrize(
    ("operation", "path", "value"),
    [
        ({"op": "add", "path": "/a/d", "value": 4}, ("a", "d"), 4),
        ({"op": "add", "path": "/a/b", "value": 4}, ("a", "b"), 4),
        ({"op": "add", "path": "/a/b/0", "value": 4}, ("a", "b"), [4, 1, 2, {"c": 3}]),
        ({"op": "add", "path": "/a/b/-", "value": 4}, ("a", "b"), [1, 2, {"c": 3}, 4]),
        ({"op": "add", "path": "/a/b/3", "value": 4}, ("a", "b"), [1, 2, {"c": 3}, 4]),
        ({"op": "add", "path": "", "value": 4}, (), 4),
        ({"op": "replace", "path": "/a/b/2/c", "value": 4}, ("a", "b"), [1, 2, {"c": 4}]),
        ({"op": "replace", "path": "/x~1y/~0", "value": 4}, ("x/y", "~"), 4),
        ({"op": "replace", "path": "/n", "value": 4}, ("n",), 4),
        ({"op": "remove", "path": "/a/b/1"}, ("a", "b"), [1, {"c": 3}]),
        ({"op": "remove", "path": "/a"}, (), {"x/y": {"~": 0}, "n": None}),
        ({"op": "copy", "from": "/a/b/2", "path": "/n"}, ("n",), {"c": 3}),
        ({"op": "move", "from": "/a/b/0", "path": "/n"}, (), {"a": {"b": [2, {"c": 3}]}, "x/y": {"~": 0}, "n": 1}),
        ({"op": "test", "path": "/a/b/1", "value": 2}, (), DOCUMENT),
    ],
    ids=lambda value: f"{value['op']} {value['path']}" if isinstance(value, dict) and "op" in value else "",
)
def test_operations(operation: Any, path: tuple[str, ...], value: Any) -> None:
    """Each operation makes its change; the document itself stays as it was."""
    before = repr(DOCUMENT)
    found: Any = patched(DOCUMENT, [operation])
    for key in path:
        found = found[key]
    assert found == value
    assert repr(DOCUMENT) == before


def test_sharing() -> None:
    """A value that no operation touches is the same object."""
    after = patched(DOCUMENT, [{"op": "add", "path": "/x~1y/z", "value": 1}, {"op": "remove", "path": "/n"}])
    assert after == {"a": DOCUMENT["a"], "x/y": {"~": 0, "z": 1}}
    assert after["a"] is DOCUMENT["a"]


@pytest.mark.parametrize(
    "operations",
    [
        *(None, 1, [1], [None], ["x"], [{}], [{"op": "add"}], [{"op": "add", "path": "/a"}]),
        [{"op": "add", "path": 1, "value": 1}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "add", "path": "/a/b/4", "value": 1}],
        [{"op": "add", "path": "/a/b/x", "value": 1}],
        [{"op": "add", "path": "/a/q/x", "value": 1}],
        [{"op": "add", "path": "/n/x", "value": 1}],
        [{"op": "replace", "path": "/q", "value": 1}],
        [{"op": "replace", "path": "/a/b/-", "value": 1}],
        [{"op": "remove", "path": "/q"}],
        [{"op": "copy", "from": "/q", "path": "/n"}],
        [{"op": "copy", "from": "/n/q", "path": "/n"}],
        [{"op": "test", "path": "/a/b/1", "value": 3}],
        [{"op": "leap", "path": "/a"}],
    ],
    ids=repr,
)
def test_what_cannot_be_made(operations: Any) -> None:
    """An operation that cannot be made is a ValueError."""
    with pytest.raises(ValueError, match=r"path|pointer|operation"):
        patched(DOCUMENT, operations)
