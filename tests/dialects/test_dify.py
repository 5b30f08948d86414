"""DIFY: chats, agents and workflows in one stream."""

from typing import Any

import pytest

from sse_client import ErrorEventReceived
from sse_client.dialects import DIFY, Data, Finish, PartAdded, Replaced

from .playing import Reply, digest
from .scripts import early_ends, fuzz, play, recorded, replay

IDS = {"task_id": "k1", "message_id": "m1", "conversation_id": "v1"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "latency": 0.5}
SOURCE = {"position": 1, "document_name": "facts.txt"}


def of(event: str, **fields: Any) -> dict[str, Any]:
    return {"event": event, **IDS, **fields}


def run(event: str, **data: Any) -> dict[str, Any]:
    return {"event": event, "task_id": "k1", "workflow_run_id": "w1", "data": {"id": "w1", **data}}


def say(text: Any, event: str = "message") -> dict[str, Any]:
    return of(event, id="m1", answer=text, created_at=7)


END = of("message_end", id="m1", metadata={"usage": USAGE, "retriever_resources": [SOURCE]})
STARTED = run("workflow_started", inputs={})
NODE = run("node_finished", node_type="llm")
FINISHED = run("workflow_finished", status="succeeded", outputs={"answer": "x"}, total_tokens=9)


def test_a_chat() -> None:
    """A chat: text, then the sources, the usage and the end; the native object is the response in blocking mode."""
    reply = play(DIFY, say("It "), ("ping", ""), {"event": "ping"}, say("rains."), END)
    assert reply.kinds == ["TextDelta", "TextDelta", "PartAdded", "UsageUpdate", "Finish"]
    message = reply.message
    assert (message.id, message.role, message.text) == ("m1", "assistant", "It rains.")
    assert message.usage is not None
    assert (message.usage.input_tokens, message.usage.output_tokens, message.usage.total_tokens) == (3, 2, 5)
    assert reply.deltas[-1] == Finish("stop", "message_end")
    assert (reply.error, message.ended_well) == (None, True)
    metadata = {"usage": USAGE, "retriever_resources": [SOURCE]}
    assert message.native == {
        **IDS,
        "event": "message",
        "id": "m1",
        "created_at": 7,
        "answer": "It rains.",
        "metadata": metadata,
    }


def test_an_agent() -> None:
    """An agent's thoughts are data, its files are parts; text after a file is a part of its own."""
    thought = of("agent_thought", thought="Paint.", tool="dalle3", tool_input="{}")
    file = of("message_file", id="f1", type="image", url="https://example.com/a.png")
    reply = play(DIFY, thought, say("Here: ", "agent_message"), file, say("Nice?", "agent_message"), END)
    assert reply.kinds == ["Data", "TextDelta", "PartAdded", "TextDelta", "PartAdded", "UsageUpdate", "Finish"]
    assert reply.deltas[0] == Data("agent_thought", thought)
    assert isinstance(reply.deltas[2], PartAdded)
    assert (reply.deltas[2].part.kind, reply.deltas[2].part.id) == ("message_file", "f1")
    assert reply.message.text == "Here: Nice?"


@pytest.mark.parametrize("tail", [[END, FINISHED], [FINISHED, END]], ids=["message first", "workflow first"])
def test_a_chatflow(tail: list[Any]) -> None:
    """A chatflow ends with its workflow, before or after its message: `message_end` alone is a truncation."""
    thought = of("reasoning_chunk", data={"reasoning": "Hm.", "node_id": "n"})
    script = [STARTED, thought, of("reasoning_chunk", data={"reasoning": ""}), say("Hello"), NODE]
    reply = play(DIFY, *script, *tail)
    assert (reply.error, reply.message.text, reply.message.reasoning) == (None, "Hello", "Hm.")
    assert reply.message.native_finish_reason == "workflow_finished"
    assert reply.message.ended_well
    assert reply.message.native["answer"] == "Hello"
    assert play(DIFY, *script).error is not None
    cut = play(DIFY, *script, END)
    assert cut.error is not None
    assert cut.message.finish_reason is None


def test_a_workflow() -> None:
    """A workflow's text comes in chunks, its outputs at the end; the native object is its blocking response."""
    reply = play(DIFY, STARTED, NODE, run("text_chunk", text="Bon"), run("text_chunk", text="jour"), FINISHED)
    assert reply.kinds == ["Data", "Data", "TextDelta", "TextDelta", "Data", "UsageUpdate", "Finish"]
    assert (reply.message.id, reply.message.text) == ("w1", "Bonjour")
    assert reply.message.native == {name: value for name, value in FINISHED.items() if name != "event"}
    assert reply.message.usage is not None
    assert reply.message.usage.total_tokens == 9


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("partial-succeeded", "stop"),
        ("failed", "error"),
        ("stopped", "cancelled"),
        ("paused", "pause"),
        ("bored", "other"),
        (None, "other"),
    ],
)
def test_states(status: Any, reason: Any) -> None:
    """A workflow may fail, or be stopped: the server has ended it, so the reply is complete, and its reason says so."""
    reply = play(DIFY, STARTED, run("workflow_finished", status=status, error="exploded"))
    assert reply.deltas[-1] == Finish(reason, status)
    assert (reply.error, reply.message.ended_well) == (None, reason == "stop")


@pytest.mark.parametrize(
    ("event", "native"),
    [(run("human_input_required", form_id="f"), "human_input_required"), (run("workflow_paused"), "paused")],
    ids=["human input", "paused"],
)
def test_a_pause(event: Any, native: str) -> None:
    """A workflow that waits for its user has ended for now; it may go on in the same stream."""
    reply = play(DIFY, STARTED, event)
    assert reply.kinds == ["Data", "Data", "Finish"]
    assert (reply.deltas[-1], reply.error, reply.message.ended_well) == (Finish("pause", native), None, False)
    assert play(DIFY, STARTED, event, STARTED).error is not None
    assert play(DIFY, STARTED, event, STARTED, FINISHED).message.ended_well


def test_a_text_that_is_replaced() -> None:
    """Moderation replaces the whole answer, in however many parts it came."""
    replaced = of("message_replace", answer="Sorry", reason="moderation")
    file = of("message_file", id="f1")
    reply = play(DIFY, say("Bad"), file, say("Worse"), replaced, say("."), END)
    assert reply.kinds[3] == "Replaced"
    assert reply.deltas[3] == Replaced(reply.message)
    assert reply.message.text == "Sorry."
    assert play(DIFY, replaced).kinds == ["TextDelta"]


def test_a_text_that_is_repeated() -> None:
    """A long message that repeats all that came says nothing new; a short one may mean it, and so may other text."""
    long = "It rains, and it will for hours to come."
    reply = play(DIFY, say(long[:20]), say(long[20:]), say(long), END)
    assert (reply.kinds[:3], reply.message.text) == (["TextDelta", "TextDelta", "PartAdded"], long)
    assert play(DIFY, say("Ha"), say("Ha"), END).message.text == "HaHa"
    assert play(DIFY, say(long), say(long[::-1]), END).message.text == long + long[::-1]


def test_an_error() -> None:
    """An error is raised, with its code and message."""
    reply = play(DIFY, say("It "), of("error", status=400, code="provider_quota_exceeded", message="no more"))
    assert isinstance(reply.error, ErrorEventReceived)
    assert (str(reply.error), reply.code) == ("no more", "provider_quota_exceeded")
    assert reply.message.text == "It "


def test_whole_responses() -> None:
    """The responses in blocking mode are read, and are the native object as they stand."""
    chat = {**play(DIFY, say("It rains."), END).message.native, "mode": "chat"}
    reply = play(DIFY, chat)
    assert reply.kinds == ["TextDelta", "PartAdded", "UsageUpdate", "Finish"]
    assert (reply.error, reply.message.native, reply.message.ended_well) == (None, chat, True)
    workflow = {name: value for name, value in FINISHED.items() if name != "event"}
    reply = play(DIFY, workflow)
    assert reply.kinds == ["UsageUpdate", "Finish"]
    assert (reply.error, reply.message.native, reply.message.ended_well) == (None, workflow, True)


def test_what_is_beside() -> None:
    """Nodes, iterations, speech and unknown events are data; nothing came, so there is nothing native."""
    beside = [NODE, of("iteration_next"), of("tts_message", audio="aGk="), {"event": "agent_log"}, {"x": 1}]
    reply = play(DIFY, "", *beside, "[DONE]")
    assert reply.deltas == [Data(each.get("event", "message"), each) for each in beside]
    assert reply.message.native is None


def test_any_shape() -> None:
    """Events of any shape are read."""
    thought = of("reasoning_chunk", data={"reasoning": "Hm."})
    file, replaced = of("message_file", id="f1"), of("message_replace", answer="Sorry")
    fuzz(DIFY, STARTED, thought, say("It rains."), file, say("."), replaced, run("text_chunk", text="a"), END, FINISHED)
    fuzz(DIFY, say("It "), {**say("It rains."), "mode": "chat", "metadata": END["metadata"]})
    fuzz(DIFY, NODE, {name: value for name, value in FINISHED.items() if name != "event"})


def check_expected(reply: Reply, expected: dict[str, Any]) -> None:
    """Check a reply against what is expected of a recorded stream."""
    assert reply.error is None
    assert digest(reply.message.text) == expected["text"]
    assert digest(reply.message.reasoning or None) == expected["reasoning"]
    assert reply.message.native_finish_reason == expected["finish_reason"]


@pytest.mark.parametrize("expected", recorded("dify"))
def test_recorded(expected: dict[str, Any]) -> None:
    """Recorded streams give the expected results, and are complete at their end alone."""
    reply = replay(DIFY, expected)
    check_expected(reply, expected)
    assert early_ends(DIFY, expected) == []
