"""A message and its parts: live, lazy, and copied as plain values."""

import copy
import pickle
from typing import Any

import pytest

from sse_client import Dialect, ErrorEvent, ServerSentEvent, StreamTruncated
from sse_client.dialects import (
    Data,
    Delta,
    Finish,
    Message,
    MessageReader,
    Other,
    PartAdded,
    Reasoning,
    ReasoningDelta,
    Refusal,
    RefusalDelta,
    Replaced,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
    ToolResult,
    Usage,
    UsageUpdate,
)
from sse_client.dialects._message import Written
from sse_client.dialects._reader import as_count, as_dict, as_key, as_list, as_text, kind_of

from .playing import play, script


class Notes(MessageReader):
    """A reader whose native object is a list of texts."""

    def native(self) -> Any:
        return [part.text for part in self.message.parts if isinstance(part, Text)]


class Unsaid(MessageReader):
    """A reader of a protocol that does not say when a reply ends."""

    is_complete = None


def test_text_grows_in_the_last_part_of_its_kind() -> None:
    """Text without a key goes on in the last part if that is text; another kind ends it and begins a part."""
    reader = Notes()
    [first] = reader.text("a")
    [second] = reader.text("b")
    assert (first, second) == (TextDelta("a", reader.message.parts[0]), TextDelta("b", reader.message.parts[0]))  # type: ignore[arg-type]
    reader.reasoning("why")
    reader.text("c")
    reader.refusal("no")
    assert [type(part) for part in reader.message.parts] == [Text, Reasoning, Text, Refusal]
    assert [part.is_done for part in reader.message.parts] == [True, True, True, False]
    assert (reader.message.text, reader.message.reasoning, reader.message.refusal) == ("abc", "why", "no")


def test_text_with_a_key() -> None:
    """Text with a key goes on in the part of that key, in any order, until the key is forgotten."""
    reader = Notes()
    reader.text("a", 0)
    reader.text("x", 1)
    reader.text("b", 0)
    assert [part.text for part in reader.message.parts if isinstance(part, Text)] == ["ab", "x"]
    reader.forget(Text, 0)
    reader.text("c", 0)
    assert reader.native() == ["ab", "x", "c"]


@pytest.mark.parametrize("value", [None, "", 1, [], {}, True])
def test_nothing_to_add(value: Any) -> None:
    """What is not a text, or empty, adds nothing: no part, no delta."""
    reader = Notes()
    assert reader.text(value) == reader.reasoning(value) == reader.refusal(value) == []
    assert reader.usage(value) == []
    assert reader.message.parts == []
    assert reader.is_complete is False


def test_a_call() -> None:
    """A call starts once, grows, and ends once; its ID and name are set once."""
    reader = Notes()
    deltas = reader.tool_call(0, id="c1", name="add")
    deltas += reader.tool_call(0, '{"a": 1, ', id="", name=None)
    deltas += reader.tool_call(0, '"b": "x"}', id="c2", name="sub")
    [call] = reader.message.tool_calls
    deltas += reader.end(call)
    deltas += reader.end(call)
    assert [type(delta) for delta in deltas] == [ToolCallStart, ToolCallDelta, ToolCallDelta, ToolCallEnd]
    assert (call.id, call.name, call.kind) == ("c1", "add", "function")
    assert call.is_whole
    assert call.input == call.partial == {"a": 1, "b": "x"}


def test_a_call_that_is_not_whole() -> None:
    """Arguments that are cut are never repaired: no input, no end at a finish, but what came is in partial."""
    reader = Notes()
    reader.tool_call(0, '{"a": "x', name="add")
    assert [type(delta) for delta in reader.finish("length", "length")] == [Finish]
    [call] = reader.message.tool_calls
    assert not call.is_whole
    assert not call.is_done
    assert call.partial == {"a": "x"}
    with pytest.raises(ValueError, match="not whole"):
        _ = call.input
    assert not reader.message.ended_well


def test_a_call_ended_by_the_server_with_arguments_that_are_not_json() -> None:
    """A call that the server ends is done, but not whole if its arguments are not JSON."""
    reader = Notes()
    reader.tool_call(0, "{'a': 1}")
    [call] = reader.message.tool_calls
    assert reader.end(call) == [ToolCallEnd(call)]
    assert (call.is_done, call.is_whole, call.partial) == (True, False, {})
    reader.finish("tool_calls")
    assert not reader.message.ended_well


def test_no_arguments() -> None:
    """No arguments count as {} once the call has ended, and as nothing before."""
    reader = Notes()
    reader.tool_call(0, name="now")
    [call] = reader.message.tool_calls
    assert not call.is_whole
    with pytest.raises(ValueError, match="have not come"):
        _ = call.input
    assert reader.finish("tool_calls") == [ToolCallEnd(call), Finish("tool_calls")]
    assert call.is_whole
    assert call.input == {}


def test_a_value_that_the_reader_sets() -> None:
    """A reader may set the value so far, of a protocol that sends the leaves of the arguments."""
    reader = Notes()
    reader.tool_call(0)
    [call] = reader.message.tool_calls
    call._value = {"a": "x"}
    assert call.partial == {"a": "x"}


def test_half_of_a_surrogate_pair() -> None:
    """Arguments with half of an emoji are JSON, though the fast parser refuses them."""
    reader = Notes()
    reader.tool_call(0, '{"a": "\\ud83d"}')
    [call] = reader.message.tool_calls
    assert call.is_whole
    assert call.input == {"a": "\ud83d"}


def test_an_input_that_is_text() -> None:
    """A custom tool's input is its text, whole once it has ended."""
    reader = Notes()
    reader.tool_call(0, "print(", kind="custom", is_json=False)
    [call] = reader.message.tool_calls
    assert call.partial == call.arguments == "print("
    assert not call.is_whole
    reader.tool_call(0, "1)")
    reader.finish("tool_calls")
    assert call.is_whole
    assert call.input == "print(1)"


def test_another_part_ends_a_call_only_if_it_is_whole() -> None:
    """When another part begins, a call ends if its arguments are whole; one without arguments may still get some."""
    reader = Notes()
    reader.tool_call(0, name="a")
    assert [type(delta) for delta in reader.tool_call(1, name="b")] == [ToolCallStart]
    reader.tool_call(0, "{}")
    reader.tool_call(1, '{"x"')
    assert [type(delta) for delta in reader.tool_call(2, "{}")] == [ToolCallStart, ToolCallDelta]
    assert [type(delta) for delta in reader.text("done")] == [ToolCallEnd, TextDelta]
    reader.tool_call(1, ": 1}")
    assert [type(delta) for delta in reader.finish("tool_calls")] == [ToolCallEnd, ToolCallEnd, Finish]


def test_changes() -> None:
    """Each delta of a call tells which strings it extends, asked in any order, also after a look at the value."""
    pieces = ['{"path": "a.py", "con', 'tent": "de', "f f", '():\\n"}', "!", "?"]
    expected = [
        [(("path",), "a.py")],
        [(("content",), "de")],
        [(("content",), "f f")],
        [(("content",), "():\n")],
        [],
        [],
    ]
    reader = Notes()
    deltas = [delta for piece in pieces for delta in reader.tool_call(0, piece) if isinstance(delta, ToolCallDelta)]
    assert [list(delta.changes) for delta in deltas] == expected
    assert [list(delta.changes) for delta in reversed(deltas)] == expected[::-1]

    reader = Notes()
    seen = []
    for piece in pieces:
        for delta in reader.tool_call(0, piece):
            if isinstance(delta, ToolCallDelta):
                _ = delta.call.partial
                seen.append(list(delta.changes))
    assert seen == expected

    reader.replace(reader.message.tool_calls[0], "x")
    assert list(deltas[3].changes) == expected[3]
    assert isinstance(delta, ToolCallDelta)
    assert list(delta.changes) == []


def test_structured_output() -> None:
    """The text as JSON grows with it; text that is not JSON has none."""
    reader = Notes()
    [delta] = reader.text('{"title": "Pan')
    assert isinstance(delta, TextDelta)
    assert delta.part.partial == {"title": "Pan"}
    reader.text('cakes"}')
    assert delta.part.partial == {"title": "Pancakes"}
    reader.text(" and more")
    assert delta.part.partial == {"title": "Pancakes"}
    reader.text("Well", "other")
    assert isinstance(reader.message.parts[-1], Text)
    assert reader.message.parts[-1].partial is None


def test_a_finish() -> None:
    """A finish comes once, and again only if the reason changes."""
    reader = Notes()
    reader.text("a")
    assert reader.finish("stop", "stop") == [Finish("stop", "stop")]
    assert reader.finish("stop", "stop") == []
    assert reader.finish("length", "length") == [Finish("length", "length")]


def test_text_after_a_finish() -> None:
    """Text after a finish reason is text, in the part that is done."""
    reader = Notes()
    reader.text("a")
    reader.finish("stop")
    assert [type(delta) for delta in reader.text("b")] == [TextDelta]
    assert len(reader.message.parts) == 1
    assert reader.message.parts[0].is_done


def test_complete() -> None:
    """A reply is complete if each choice that was seen has a finish reason."""
    reader = Notes()
    assert not reader.is_complete
    reader.text("a", choice=1)
    reader.text("b")
    reader.finish("stop")
    assert not reader.is_complete
    assert not reader.message.ended_well
    reader.finish("stop", choice=1)
    assert reader.is_complete
    assert reader.message.ended_well
    assert reader.message.choices[1].choices is reader.message.choices
    assert reader.message.choices[0] is reader.message
    assert reader.message.choices[1].text == "a"


def test_a_failed_stream_did_not_end_well() -> None:
    """After an error nothing has ended well, and open parts stay open."""
    reader = Notes()
    reader.text("a")
    reader.close(StreamTruncated("cut"))
    assert not reader.message.parts[0].is_done
    reader = Notes()
    reader.finish("stop")
    reader.close(StreamTruncated("cut"))
    assert not reader.message.ended_well


def test_a_protocol_that_does_not_say_when_it_ends() -> None:
    """If only the transport can tell, a reply has ended well when the stream is over without an error."""
    reader = Unsaid()
    reader.text("a")
    reader.finish("stop")
    assert not reader.message.ended_well
    reader.close(None)
    assert reader.message.ended_well
    assert reader.message.parts[0].is_done


def test_a_call_that_nothing_has_ended() -> None:
    """The end of a stream alone ends no call: no delta has said so."""
    reader = Unsaid()
    reader.tool_call(0, "{}")
    reader.close(None)
    assert not reader.message.tool_calls[0].is_done


def test_replace() -> None:
    """A text that goes on with what is there is a delta; another one replaces it."""
    reader = Notes()
    reader.text("ab")
    reader.reasoning("ab")
    reader.refusal("ab")
    reader.tool_call(0, "ab")
    kinds: list[type[Delta]] = []
    for part in reader.message.parts:
        assert isinstance(part, Written)
        assert reader.replace(part, "ab") == reader.replace(part, None) == []
        kinds += [type(delta) for delta in reader.replace(part, "abc")]
        assert reader.replace(part, "x") == [Replaced(reader.message)]
        assert reader.replace(part, "") == [Replaced(reader.message)]
    assert kinds == [TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta]
    assert reader.message.text == ""


def test_parts_that_come_whole() -> None:
    """A part that came whole is done, and keeps the server's object."""
    reader = Notes()
    [added] = reader.add("file", {"url": "x"}, id="f1")
    assert isinstance(added, PartAdded)
    assert isinstance(added.part, Other)
    assert (added.part.kind, added.part.native, added.part.id, added.part.is_done) == ("file", {"url": "x"}, "f1", True)


def test_results_of_tools() -> None:
    """The result of a tool that the server ran is kept on its call; without a call it is data."""
    reader = Notes()
    reader.tool_call(0)
    [call] = reader.message.tool_calls
    assert reader.tool_result(call, 1, None, is_preliminary=True) == [ToolResult(call, 1, None, True)]
    assert call.output == 1
    assert reader.tool_result(None, None, "failed") == [Data("tool_result", "failed")]
    assert reader.tool_result(None, 2) == [Data("tool_result", 2)]


def test_usage() -> None:
    """Usage is an update only if it changed; a total that the server leaves out is the sum."""
    reader = Notes()
    [update] = reader.usage({"in": 1}, input_tokens=1.0, output_tokens=2, cached_tokens="3", reasoning_tokens=True)
    assert update == UsageUpdate(Usage(1, 2, 3, None, None, {"in": 1}))
    assert reader.usage({"in": 1}) == []
    assert reader.usage({"in": 2}, total_tokens=9) == [UsageUpdate(Usage(total_tokens=9, native={"in": 2}))]
    assert Usage() != 1


def test_identity() -> None:
    """The ID, the model and the role are set by the first value that is there, for each choice."""
    reader = Notes()
    reader.identify(id="", model=None, role=3)
    reader.identify(id="r1", model="m", role="assistant")
    reader.identify(id="r2", model="n", role="user")
    reader.identify(role="tool", choice=1)
    message = reader.message
    assert (message.id, message.model, message.role, message.choices[1].role) == ("r1", "m", "assistant", "tool")


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))], ids=["copy", "pickle"]
)
def test_copies(copied: Any) -> None:
    """A copy is a plain value: it keeps the parts, the native object and the verdict of its moment."""
    reader = Notes()
    reader.text("a")
    reader.tool_call(0, '{"x": "y')
    reader.text("b", choice=1)
    kept: Message = copied(reader.message)
    reader.text("c")
    assert kept.text == "a"
    assert kept.native == ["a"]
    assert kept.tool_calls[0].partial == {"x": "y"}
    assert kept.choices[0] is kept
    assert kept.choices[1].text == "b"
    assert not kept.ended_well
    reader = Notes()
    reader.finish("stop")
    assert copied(reader.message).ended_well
    assert copied(copied(reader.message)).ended_well


def test_repr() -> None:
    """What a debugger shows is short."""
    reader = Notes()
    [delta] = reader.text("a" * 100)
    assert repr(delta) == f"TextDelta(text={'a' * 100!r}, part=Text('{'a' * 60}…'), choice=0)"
    reader.tool_call(0, "{}", id="c", name="add")
    reader.add("file", {})
    assert repr(reader.message) == (
        f"<Message None parts=[Text('{'a' * 60}…'), "
        "ToolCall('function', id='c', name='add', is_done=True), <Other 'file'>] finish_reason=None>"
    )
    assert repr(Usage(1, 2)) == "Usage(input_tokens=1, output_tokens=2)"
    assert Finish("stop") != TextDelta("a", Text("text"))


def test_the_parts_of_match() -> None:
    """Deltas can be taken apart by position."""
    reader = Notes()
    match reader.text("a"):
        case [TextDelta(text, part, 0)]:
            assert (text, part.text) == ("a", "a")
        case _:
            pytest.fail("no match")


def test_the_base_reads_nothing() -> None:
    """A reader must say how it reads; all else has a default."""
    reader = MessageReader()
    with pytest.raises(NotImplementedError):
        reader.read(ServerSentEvent())
    reader.resumed()
    assert reader.native() is None
    assert reader.snapshot is reader.message


def test_a_part_of_your_own_can_be_replaced() -> None:
    """A kind of part that has no delta of its own grows silently."""
    reader = Notes()
    part = Written("log")
    reader.begin(part)
    assert reader.replace(part, "a") == []
    assert repr(part) == "Written('a')"


KINDS = [
    (ServerSentEvent("ping", "{}"), {"type": "x"}, "ping"),
    (ServerSentEvent(), {"type": "x", "object": "y"}, "x"),
    (ServerSentEvent(), {"event": "y"}, "y"),
    (ServerSentEvent(), {"type": 3, "method": "z"}, "z"),
    (ServerSentEvent(), [1], "message"),
]


@pytest.mark.parametrize(("event", "value", "kind"), KINDS, ids=range(len(KINDS)))
def test_kinds(event: ServerSentEvent, value: Any, kind: str) -> None:
    """An event's kind is its name, else the first field that says so."""
    assert kind_of(event, value) == kind


class WatsonxReader(MessageReader):
    """A reader of a protocol that is not shipped."""

    def read(self, event: ServerSentEvent) -> list[Delta]:
        deltas: list[Delta] = []
        for result in event.json().get("results") or ():
            deltas += self.text(result.get("generated_text"))
            if (reason := result.get("stop_reason", "not_finished")) != "not_finished":
                deltas += self.finish("length" if reason == "max_tokens" else "stop", reason)
        return deltas


WATSONX: Dialect[Delta, Message] = Dialect(reader=WatsonxReader, errors=ErrorEvent(event="error"))


def test_a_reader_of_your_own() -> None:
    """A reader of ten lines has all that the others have: deltas, a message, and the truth about its end."""
    values = [
        {"results": [{"generated_text": "a", "stop_reason": "not_finished"}]},
        {"results": [{"generated_text": "b"}, {"generated_text": None, "stop_reason": "eos_token"}]},
    ]
    reply = play(WATSONX, script(*values))
    assert reply.kinds == ["TextDelta", "TextDelta", "Finish"]
    assert reply.message.text == "ab"
    assert reply.message.ended_well
    assert isinstance(play(WATSONX, script(values[0])).error, StreamTruncated)


def test_what_json_may_hold() -> None:
    """Values of other types than expected count as absent."""
    assert (as_text(1), as_count(True), as_count("1"), as_count(2.5), as_key([], 7), as_key("a")) == (
        "",
        None,
        None,
        None,
        7,
        "a",
    )
    assert (as_dict([1]), as_dict({"a": 1}), as_list({"a": 1}), as_list([1])) == ({}, {"a": 1}, [], [1])
