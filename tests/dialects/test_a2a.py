"""A2A: the task of another agent, in versions 1.0 and 0.3, over JSON-RPC and REST."""

from typing import Any

import pytest

from sse_client import ErrorEventReceived
from sse_client.dialects import A2A, Data, Finish, Other, PartAdded, Replaced

from .playing import Reply, digest
from .scripts import early_ends, fuzz, play, recorded, replay

SUBMITTED = {"state": "TASK_STATE_SUBMITTED"}
DATA = {"data": {"mm": 3}}


def task(state: Any = "TASK_STATE_SUBMITTED", **fields: Any) -> dict[str, Any]:
    return {"task": {"id": "t1", "contextId": "x1", "status": {"state": state}, **fields}}


def status(state: Any, message: Any = None, **fields: Any) -> dict[str, Any]:
    said = {} if message is None else {"message": message}
    return {"statusUpdate": {"taskId": "t1", "contextId": "x1", "status": {"state": state, **said}, **fields}}


def artifact(*parts: Any, id: str = "a1", name: str = "report", **fields: Any) -> dict[str, Any]:
    made = [{"text": part} if isinstance(part, str) else part for part in parts]
    return {"artifactUpdate": {"taskId": "t1", "artifact": {"artifactId": id, "name": name, "parts": made}, **fields}}


def more(*parts: Any, **fields: Any) -> dict[str, Any]:
    return artifact(*parts, append=True, **fields)


def version_0_3(value: dict[str, Any], request_id: int = 7) -> dict[str, Any]:
    """The same response as a server of version 0.3 sends it, over JSON-RPC."""
    [(name, fields)] = value.items()
    kinds = {"statusUpdate": "status-update", "artifactUpdate": "artifact-update"}
    return {"jsonrpc": "2.0", "id": request_id, "result": {"kind": kinds.get(name, name), **fields}}


def version_1_0(value: dict[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "result": value}


SCRIPT = [
    task(history=[{"role": "ROLE_USER"}]),
    status("TASK_STATE_WORKING", {"parts": [{"text": "Thinking"}]}),
    artifact("It "),
    more("rains.", DATA),
    more("Really", lastChunk=True),
    status("TASK_STATE_COMPLETED", {"parts": [{"text": "Done"}]}, metadata={"cost": 1}),
]
NATIVE = {
    "id": "t1",
    "contextId": "x1",
    "status": {"state": "TASK_STATE_COMPLETED", "message": {"parts": [{"text": "Done"}]}},
    "history": [{"role": "ROLE_USER"}, {"parts": [{"text": "Thinking"}]}],
    "metadata": {"cost": 1},
    "artifacts": [{"artifactId": "a1", "name": "report", "parts": [{"text": "It rains."}, DATA, {"text": "Really"}]}],
}


@pytest.mark.parametrize("wrap", [dict, version_1_0, version_0_3], ids=["REST", "1.0", "0.3"])
def test_a_task(wrap: Any) -> None:
    """An artifact grows: its texts are joined; the status is data beside it; the native object is the task."""
    reply = play(A2A, *map(wrap, SCRIPT))
    assert reply.kinds == ["Data", "Data", "TextDelta", "TextDelta", "PartAdded", "TextDelta", "Data", "Finish"]
    message = reply.message
    assert (message.id, message.role, message.text, message.last_text) == (
        "t1",
        "agent",
        "It rains.Really",
        "It rains.Really",
    )
    assert [part.is_done for part in message.parts] == [True, True, True]
    assert message.ended_well
    native = {**NATIVE, "kind": "task"} if wrap is version_0_3 else NATIVE
    assert message.native == native
    for count in range(len(SCRIPT)):
        assert play(A2A, *map(wrap, SCRIPT[:count])).error is not None


@pytest.mark.parametrize("wrap", [dict, version_1_0, version_0_3], ids=["REST", "1.0", "0.3"])
def test_a_message(wrap: Any) -> None:
    """An agent may reply with a message and no task."""
    said = {"messageId": "m1", "role": "ROLE_AGENT", "parts": [{"text": "It "}, {"text": "rains."}, DATA]}
    reply = play(A2A, wrap({"message": said}))
    assert reply.kinds == ["TextDelta", "TextDelta", "PartAdded", "Finish"]
    assert (reply.error, reply.message.id, reply.message.text) == (None, "m1", "It rains.")
    assert {**reply.message.native, "kind": None} == {**said, "kind": None}
    assert reply.message.ended_well


def test_an_artifact_that_is_replaced() -> None:
    """An artifact that comes without `append` replaces the one of its ID, in its place; another one does not."""
    reply = play(A2A, task(), artifact("A"), artifact("B", id="b"), artifact("C", DATA), more("D"), more("E", id="b"))
    assert reply.kinds == ["Data", "TextDelta", "TextDelta", "Replaced", "TextDelta", "TextDelta"]
    assert reply.deltas[3] == Replaced(reply.message)
    assert [part.native for part in reply.message.parts] == [{"text": "C"}, DATA, {"text": "BE"}, {"text": "D"}]
    texts = [[part.get("text") for part in each["parts"]] for each in reply.message.native["artifacts"]]
    assert texts == [["C", None, "D"], ["BE"]]


def test_a_task_again() -> None:
    """After a new subscription the task replaces all parts; it may bring its artifacts from the beginning."""
    artifacts = [{"artifactId": "a1", "parts": [{"text": "It rains"}], "metadata": {"a": 1}}]
    reply = play(A2A, task("TASK_STATE_WORKING", artifacts=artifacts), more(".", DATA))
    assert reply.kinds == ["TextDelta", "Data", "TextDelta", "PartAdded"]
    reply = play(A2A, task(), artifact("It "), task("TASK_STATE_WORKING", artifacts=artifacts), more("."))
    assert reply.kinds == ["Data", "TextDelta", "Replaced", "Data", "TextDelta"]
    assert reply.message.text == "It rains."
    assert reply.message.native["artifacts"][0]["metadata"] == {"a": 1}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("TASK_STATE_COMPLETED", "stop"),
        ("completed", "stop"),
        ("failed", "error"),
        ("TASK_STATE_REJECTED", "error"),
        ("canceled", "cancelled"),
        ("TASK_STATE_CANCELLED", "cancelled"),
        ("input-required", "pause"),
        ("INPUT_REQUIRED", "pause"),
        ("TASK_STATE_AUTH_REQUIRED", "pause"),
    ],
)
def test_states(state: str, reason: Any) -> None:
    """A state that is final, or that waits for the user, makes the reply complete, in any spelling."""
    reply = play(A2A, task(), status(state))
    assert reply.deltas[-1] == Finish(reason, state)
    assert (reply.error, reply.message.ended_well) == (None, reason == "stop")


def test_final() -> None:
    """In 0.3 an event says that it is the last; a task that goes on after a pause is open again."""
    reply = play(A2A, version_0_3(status("unknown", final=True)))
    assert (reply.error, reply.deltas[-1]) == (None, Finish("other", "unknown"))
    assert play(A2A, status("input-required"), status("working")).error is not None


def test_parts_of_all_kinds() -> None:
    """Files and data are parts, in both versions; a text keeps its other fields; an empty one yields no delta."""
    parts = [{"kind": "file", "file": {"uri": "x"}}, {"url": "x"}, {"raw": "x"}, {"metadata": {}}, 1]
    first = {"kind": "text", "text": "", "metadata": {"a": 1}}
    reply = play(A2A, artifact(first, "A", *parts))
    kinds = [delta.part.kind for delta in reply.deltas if isinstance(delta, PartAdded)]
    assert kinds == ["file", "url", "raw", "part", "part"]
    assert reply.kinds == ["TextDelta", *["PartAdded"] * 5]
    assert reply.message.parts[0].native == {"kind": "text", "text": "A", "metadata": {"a": 1}}
    assert isinstance(reply.message.parts[-1], Other)
    assert play(A2A, artifact(first)).deltas == []


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (("error", {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "no"}}), 400),
        (("message", {"jsonrpc": "2.0", "id": 7, "error": {"code": -32004, "message": "no"}}), -32004),
    ],
    ids=["REST", "JSON-RPC"],
)
def test_errors(event: Any, code: int) -> None:
    """An error is raised, and all that came before it is kept; one that is null is none."""
    reply = play(A2A, task(), artifact("It "), event)
    assert isinstance(reply.error, ErrorEventReceived)
    assert (str(reply.error), reply.code, reply.message.text) == ("no", code, "It ")
    assert play(A2A, {**version_1_0(SCRIPT[0]), "error": None}).kinds == ["Data"]


@pytest.mark.parametrize("wrap", [dict, version_1_0, version_0_3], ids=["REST", "1.0", "0.3"])
def test_a_whole_response(wrap: Any) -> None:
    """The task that an agent returns without streaming is read, also alone, as REST has it."""
    assert A2A.accept_json
    for whole in (wrap({"task": NATIVE}), NATIVE):
        reply = play(A2A, whole)
        assert (reply.error, reply.message.text) == (None, "It rains.Really")
        assert {**reply.message.native, "kind": None} == {**NATIVE, "kind": None}
        assert reply.message.ended_well


def test_what_is_unknown() -> None:
    """Responses of an unknown kind are data; so is the end marker of other protocols nothing."""
    odd = {"jsonrpc": "2.0", "id": 1, "result": {"kind": "cake"}}
    assert play(A2A, "", odd, {"task": 1}).deltas == [Data("message", odd), Data("message", {"task": 1})]
    assert play(A2A, {"task": {"id": "t1"}}, "[DONE]").deltas == []


def test_any_shape() -> None:
    """Responses of any shape are read."""
    fuzz(A2A, *SCRIPT[:4], artifact("C", DATA, metadata={}), task(artifacts=NATIVE["artifacts"]), SCRIPT[-1])
    fuzz(A2A, *map(version_0_3, SCRIPT[2:]))
    fuzz(A2A, task(), {"message": {"messageId": "m1", "parts": [{"text": "a"}, DATA]}})


def check_expected(reply: Reply, expected: dict[str, Any]) -> None:
    """Check a reply against what is expected of a recorded stream."""
    assert reply.error is None
    assert digest(reply.message.text) == expected["text"]
    assert reply.message.native_finish_reason == expected["finish_reason"]
    assert reply.message.native["status"]["state"] == expected["finish_reason"]


@pytest.mark.parametrize("expected", recorded("a2a"))
def test_recorded(expected: dict[str, Any]) -> None:
    """Recorded streams give the expected results, and are complete at their end alone."""
    reply = replay(A2A, expected)
    check_expected(reply, expected)
    assert early_ends(A2A, expected) == []
