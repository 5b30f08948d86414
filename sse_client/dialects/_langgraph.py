"""
LangGraph's runs: the events of `runs/stream`, and those of the protocol's version 3.

A run has several messages, of nodes that may work at the same time: each part goes by the ID of its message. The same
message may come in chunks, as a whole that grows, and within the state: nothing is delivered twice. Text
that comes only with the state is delivered as well. `message.native` is the last state, `message.last_text` the text
of the last message. The protocol does not say when a run ends, but for version 3.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from sse_client import Cursor, Dialect, ErrorEvent, LastEventID, Request, ServerSentEvent, Terminator

from ._message import FinishReason, Message, Other, Reasoning, Text, ToolCall
from ._reader import DONE, PINGS, MessageReader, as_count, as_dict, as_json, as_key, as_list, as_text, kind_of, unknown
from ._vocabulary import Data, Delta

# Of the models behind LangChain, in lower case.
REASONS: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "completed", "complete", "eos_token"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "incomplete"), "length"),
    **dict.fromkeys(("tool_calls", "tool_use", "function_call", "tool_call"), "tool_calls"),
    **dict.fromkeys(("content_filter", "safety", "recitation"), "content_filter"),
    **dict.fromkeys(("failed", "error"), "error"),
    **dict.fromkeys(("interrupt", "interrupted", "pause_turn"), "pause"),
    "refusal": "refusal",
    "cancelled": "cancelled",
}
OF_A_REASON = ("finish_reason", "stop_reason", "done_reason")

# Blocks that `tool_calls` or `tool_call_chunks` say again.
CALLS = frozenset({"tool_use", "tool_call", "tool_call_chunk", "input_json_delta", "function_call"})
WRITTEN: dict[str, type[Text | Reasoning]] = {
    **dict.fromkeys(("text", "output_text", "text-delta"), Text),
    **dict.fromkeys(("reasoning", "thinking", "reasoning-delta"), Reasoning),
}
OF_A_FULL_CHUNK = ("tool_call_chunks", "usage_metadata", "response_metadata", "additional_kwargs", "tool_calls")
IS_AI = frozenset({"ai", "AIMessage", "AIMessageChunk", "assistant"})
IS_HUMAN = frozenset({"human", "HumanMessage", "user"})


class LangChainReader(MessageReader):
    """The base of both versions: LangChain's messages, and the state."""

    def __init__(self) -> None:
        super().__init__()
        self._has_begun = False
        self._state: Any = None
        self._streamed: set[str] = set()  # the IDs of messages that came by themselves
        self._latest: dict[Any, Any] = {}  # the key of the call that a message goes on with
        self._usages: dict[Any, dict[str, Any]] = {}  # of each message
        self._reasons: dict[Any, str] = {}

    @property
    def is_complete(self) -> bool | None:
        """Not told, once anything has come."""
        return None if self._has_begun else False

    def _write(self, kind: type[Text | Reasoning], key: Any, text: Any, id: str, is_whole: bool) -> list[Delta]:
        """Add text to a part, or set all of it."""
        if not as_text(text):
            return []
        part = self.find(kind, key)
        deltas: list[Delta] = []
        if part is None:
            part = kind(kind.__name__.lower(), id=id or None)
            deltas = self.begin(part, key)
        if is_whole:
            return deltas + self.replace(part, text)
        return deltas + self.grow(part, text)

    def _block(self, value: Any, key: Any, id: str, is_whole: bool) -> list[Delta]:
        """Read a block of content; a block without text is a part of its own, once."""
        block = {"type": "text", "text": value} if isinstance(value, str) else as_dict(value)
        name = as_text(block.get("type"))
        if (kind := WRITTEN.get(name)) is not None:
            return self._write(kind, key, text_of(block), id, is_whole)
        if not name or name in CALLS or (Other, key, 0) in self._parts:
            return []
        return self.add(name, value, key, id=id)

    def _call_whole(self, key: Any, call: dict[str, Any], *, is_final: bool) -> list[Delta]:
        """Read a call with its parsed arguments. Until they are final they are only looked at."""
        deltas = self.tool_call(key, id=call.get("id"), name=call.get("name"))
        found = self.find(ToolCall, key)
        assert found is not None
        arguments = call.get("args")
        if not is_final:
            found._value = arguments
            return deltas
        found._value = None
        if found.is_done or arguments is None or (found._pieces and found.is_whole and found.input == arguments):
            return deltas + self.end(found)
        return deltas + self.replace(found, as_json(arguments)) + self.end(found)

    def _message(self, value: Any, place: int = 0, *, is_whole: bool = False, is_final: bool = True) -> list[Delta]:
        """Read an AI message: a chunk, or as a whole, which may still grow."""
        fields = fields_of(value)
        message_id = as_text(fields.get("id"))
        owner = message_id or (place if is_whole else "")
        self.identify(role="assistant")
        extra = as_dict(fields.get("additional_kwargs")).get("reasoning_content")
        deltas = self._write(Reasoning, (owner, "extra"), extra, message_id, is_whole)
        content = fields.get("content")
        if isinstance(content, str):
            deltas += self._write(Text, (owner, None), content, message_id, is_whole)
        for place, block in enumerate(as_list(content)):
            index = as_key(as_dict(block).get("index"), place if is_whole else 0)
            deltas += self._block(block, (owner, index), message_id, is_whole)
        chunks = [] if is_whole else as_list(fields.get("tool_call_chunks"))
        for each in map(as_dict, chunks):
            # The index; else the ID; else the call that the message goes on with.
            found = as_key(each.get("index"), as_text(each.get("id")))
            key = self._latest.get(owner, (owner, "")) if found == "" else (owner, found)
            self._latest[owner] = key
            deltas += self.tool_call(key, as_json(each.get("args")), id=each.get("id"), name=each.get("name"))
        # A chunk has calls too, which only guess the result of its pieces.
        if not chunks and (is_whole or as_text(fields.get("type")) != "AIMessageChunk"):
            for place, each in enumerate(map(as_dict, as_list(fields.get("tool_calls")))):
                deltas += self._call_whole((owner, place), each, is_final=is_final)
        deltas += self._count(owner, fields.get("usage_metadata"), is_whole)
        response = as_dict(fields.get("response_metadata"))
        self.identify(model=response.get("model_name") or response.get("model"))
        reason = next((reason for name in OF_A_REASON if (reason := as_text(response.get(name)))), "")
        if not reason or not is_final or self._reasons.get(owner) == reason:
            return deltas
        self._reasons[owner] = reason
        return deltas + self._end(reason)

    def _end(self, reason: str) -> list[Delta]:
        return self.finish(REASONS.get(reason.lower(), "other"), reason)

    def _count(self, owner: Any, usage: Any, is_whole: bool) -> list[Delta]:
        """Set the usage to that of this message, the last one that has any: chunks of one add up."""
        before = self._usages.get(owner, {})
        total = self._usages[owner] = summed({} if is_whole else before, as_dict(usage))
        if total == before:
            return []
        cached = as_dict(total.get("input_token_details")).get("cache_read")
        reasoning = as_dict(total.get("output_token_details")).get("reasoning")
        return self.usage(
            total,
            input_tokens=total.get("input_tokens"),
            output_tokens=total.get("output_tokens"),
            total_tokens=total.get("total_tokens"),
            cached_tokens=cached,
            reasoning_tokens=reasoning,
        )

    def _tool(self, id: Any, output: Any, error: Any = None) -> list[Delta] | None:
        """Keep the result of a call, once; `None` if the call is not known."""
        call = next((call for call in self.message.tool_calls if call.id is not None and call.id == id), None)
        if call is None:
            return None
        if (call.output, call.error) == (output, error):
            return []
        return self.tool_result(call, output, error)

    def _values(self, state: Any) -> list[Delta]:
        """Read the state: its messages since the user's last one, if they have not come by themselves."""
        self._state = state
        deltas: list[Delta] = [Data("values", state)]
        messages = as_list(as_dict(state).get("messages"))
        first = 1 + max((place for place, each in enumerate(messages) if role_of(each) in IS_HUMAN), default=-1)
        for place, each in enumerate(messages[first:], first):
            fields = fields_of(each)
            if role_of(each) in IS_AI:
                text = content_of(fields)
                # Some graphs give a message another ID when they add it to the state.
                is_known = text and self._streamed and text in self._texts()
                if not is_known and as_text(fields.get("id")) not in self._streamed:
                    deltas += self._message(each, place, is_whole=True)
            elif role_of(each) in ("tool", "ToolMessage"):
                deltas += self._tool(fields.get("tool_call_id"), fields.get("content")) or []
        if as_dict(state).get("__interrupt__"):
            deltas += self._end("interrupt")
        return deltas

    def _texts(self) -> set[str]:
        """The text of each message so far."""
        texts: dict[str | None, str] = {}
        for part in self.message.parts:
            if isinstance(part, Text):
                texts[part.id] = texts.get(part.id, "") + part.text
        return set(texts.values())

    def native(self) -> Any:
        """The last state, as `runs/wait` returns it."""
        return self._state


class LangGraphReader(LangChainReader):
    """Reads `runs/stream`, or the state that `runs/wait` returns."""

    def read(self, event: ServerSentEvent) -> list[Delta]:
        if not event.data or event.data == DONE:
            return []
        value = event.json()
        self._has_begun = True
        name, _, namespace = event.event.partition("|")
        match name:
            case "metadata":
                self.identify(id=as_dict(value).get("run_id"))
                return []
            case "messages":
                # The usual chunk, without the way through everything that one may have.
                if (fields := as_dict(next(iter(as_list(value)), None))) and fields.get("type") == "AIMessageChunk":
                    message_id, has_more = fields.get("id"), any(map(fields.get, OF_A_FULL_CHUNK))
                    if not has_more and isinstance(message_id, str) and isinstance(fields.get("content"), str):
                        part = self.find(Text, (message_id, None))
                        if part is not None:
                            return self.grow(part, fields["content"])
                return self._read_messages(event.event, value, as_list(value)[:1], is_whole=False)
            case "messages/partial" | "messages/complete":
                return self._read_messages(event.event, value, as_list(value), is_final=name != "messages/partial")
            case "values" if not namespace:
                return self._values(value)
            case "message" if isinstance(value, dict):
                if isinstance(as_dict(value).get("messages"), list):
                    return self._values(value)
                if self.message.id is None and not self.message.parts:
                    self._state = value  # of a graph without messages, that did not stream
                return unknown(kind_of(event, value), value)
            case "end" if value is None:
                return []
            case _:
                deltas: list[Delta] = [Data(event.event, value)]
                return deltas + (self._end("interrupt") if as_dict(value).get("__interrupt__") else [])

    def _read_messages(
        self, name: str, value: Any, messages: list[Any], *, is_whole: bool = True, is_final: bool = True
    ) -> list[Delta]:
        deltas: list[Delta] = []
        for place, each in enumerate(messages):
            fields = fields_of(each)
            role = role_of(each)
            if role in IS_AI or (fields and not role):
                self._streamed.add(as_text(fields.get("id")))
                deltas += self._message(each, place, is_whole=is_whole, is_final=is_final)
            elif (found := self._tool(fields.get("tool_call_id"), fields.get("content"))) is not None:
                deltas += found
            else:
                deltas.append(Data(name, value))
        return deltas or ([] if messages else [Data(name, value)])


class LangGraphEventsReader(LangChainReader):
    """Reads the events of a thread, protocol version 3."""

    def __init__(self) -> None:
        super().__init__()
        self._lifecycle: bool | None = None  # whether the run has ended
        self._writing: dict[str, str | None] = {}  # by namespace, the ID of the message that is being written
        self._seq = -1
        self._is_resumed = False

    @property
    def is_complete(self) -> bool | None:
        """Whether the run's `lifecycle` has ended; not told if the stream has no such events."""
        return super().is_complete if self._lifecycle is None else self._lifecycle

    def resumed(self) -> None:
        self._is_resumed = True

    def read(self, event: ServerSentEvent) -> list[Delta]:
        if not event.data or event.data == DONE:
            return []
        value = event.json()
        self._has_begun = True
        fields = as_dict(value)
        params = as_dict(fields.get("params"))
        method = as_text(fields.get("method"))
        if fields.get("type") != "event" or not method:
            if isinstance(fields.get("messages"), list):
                return self._values(value)
            return unknown(kind_of(event, value), value)
        seq = as_count(fields.get("seq"))
        if seq is not None:
            if self._is_resumed and seq <= self._seq:
                return []
            self._seq = seq
        namespace, data = params.get("namespace"), params.get("data")
        match method:
            case "messages":
                deltas = self._read_message(f"{namespace} {params.get('node')}", as_dict(data))
                return [Data(method, data)] if deltas is None else deltas
            case "values" if not namespace:
                return self._values(data)
            case "lifecycle" if not namespace:
                return [Data(method, data), *self._live(as_text(as_dict(data).get("event")))]
            case "tools" if as_text(as_dict(data).get("event")) in ("tool-finished", "tool-error"):
                tool = as_dict(data)
                error = tool.get("error", tool.get("message")) if tool["event"] == "tool-error" else None
                found = self._tool(tool.get("tool_call_id"), tool.get("output"), error)
                return [Data(method, data)] if found is None else found
            case _:
                return [Data(method, data)]

    def _live(self, state: str) -> list[Delta]:
        if state in ("started", "running"):
            self._lifecycle = False
        if state not in ("completed", "failed", "interrupted", "cancelled"):
            return []
        self._lifecycle = True
        if state == "completed" and self.message.finish_reason not in (None, "tool_calls"):
            return []  # the last message says why
        return self._end(state)

    def _read_message(self, where: str, data: dict[str, Any]) -> list[Delta] | None:
        """Read an event of the message that is written in a namespace; `None` if it is of another kind."""
        step = as_text(data.get("event"))
        if step == "message-start":
            started = as_text(data.get("id")) or f"{where}-{len(self._streamed)}"
            is_ai = as_text(data.get("role")) in (*IS_AI, "") and started not in self._streamed
            self._writing[where] = started if is_ai else None  # at the end of its node a message is told again
            self._streamed.add(started)
            return []
        owner = self._writing.setdefault(where, where)
        if owner is None:
            return []
        block = data.get("content", data.get("content_block", data.get("contentBlock")))
        key = (owner, as_key(data.get("index")))
        match step:
            case "content-block-start":
                return self._block_step(block, key, owner)
            case "content-block-delta":
                delta = as_dict(data.get("delta"))
                if delta.get("type") == "block-delta":
                    return self._block_step(delta.get("fields"), key, owner, is_whole=True)
                return self._block_step(delta or block, key, owner)
            case "content-block-finish":
                fields = as_dict(block)
                if fields.get("type") in ("tool_call", "invalid_tool_call"):
                    return self._call_whole(key, fields, is_final=True)
                return self._block(block, key, owner, is_whole=True)
            case "message-finish":
                deltas = self._count(owner, data.get("usage"), is_whole=True)
                reason = as_text(data.get("reason"))
                return deltas + (self._end(reason) if reason else [])
            case _:
                return None

    def _block_step(self, block: Any, key: Any, id: str, *, is_whole: bool = False) -> list[Delta]:
        """Read the beginning of a block, or more of it; `is_whole` if it is sent again from its beginning."""
        fields = as_dict(block)
        if fields.get("type") == "tool_call_chunk":
            deltas = self.tool_call(key, id=fields.get("id"), name=fields.get("name"))
            call = self.find(ToolCall, key)
            assert call is not None
            arguments = as_json(fields.get("args"))
            return deltas + (self.replace(call, arguments) if is_whole else self.grow(call, arguments))
        return self._block(block, key, id, is_whole) if as_text(fields.get("type")) in WRITTEN else []


def fields_of(message: Any) -> dict[str, Any]:
    """The fields of a message, also of one that LangChain has serialized with its constructor."""
    fields = as_dict(message)
    return as_dict(fields.get("kwargs")) if fields.get("type") == "constructor" else fields


def role_of(message: Any) -> str:
    fields = as_dict(message)
    if fields.get("type") == "constructor":
        return as_text(next(iter(as_list(fields.get("id"))[-1:]), ""))
    return as_text(fields.get("type")) or as_text(fields.get("role"))


def text_of(block: dict[str, Any]) -> str:
    """The text of a block of text, or of reasoning."""
    for name in ("text", "reasoning", "thinking"):
        if text := as_text(block.get(name)):
            return text
    return "".join(as_text(as_dict(each).get("text")) for each in as_list(block.get("summary")))


def content_of(fields: dict[str, Any]) -> str:
    """The text of a whole message."""
    content = fields.get("content")
    blocks = [{"type": "text", "text": each} if isinstance(each, str) else as_dict(each) for each in as_list(content)]
    return as_text(content) or "".join(
        text_of(each) for each in blocks if WRITTEN.get(as_text(each.get("type"))) is Text
    )


def summed(counted: dict[str, Any], usage: dict[str, Any], *, has_details: bool = True) -> dict[str, Any]:
    """The sum of two usages; of details within details the last ones count."""
    total = dict(counted)
    for name, value in usage.items():
        before, count = as_count(total.get(name)), as_count(value)
        if isinstance(value, dict) and has_details:
            total[name] = summed(as_dict(total.get(name)), as_dict(value), has_details=False)
        elif value is not None:
            total[name] = value if before is None or count is None else before + count
    return total


def location(response: Any) -> str | None:
    """The URL to join the run at; `None` if it is on another origin, which must not get the user's token."""
    found = as_text(response.headers.get("location"))
    try:
        target, here = urlsplit(found), urlsplit(str(response.url))
    except ValueError:
        return None
    is_foreign = (target.scheme or target.netloc) and target[:2] != here[:2]
    return None if is_foreign else found or None


def is_error(event: ServerSentEvent) -> bool:
    """Whether the event is an error, of the graph or of a subgraph."""
    return event.event == "error" or event.event.startswith("error|")


def advance(seq: int | None, event: ServerSentEvent) -> int | None:
    """The number of the last event."""
    try:
        found = as_count(as_dict(event.json()).get("seq"))
    except ValueError:
        return seq
    return seq if found is None else found


def request_since(seq: int | None, request: Request) -> Request | None:
    """The same request for the events after that one."""
    body: Any = request.json
    if seq is None or not isinstance(body, dict):
        return None
    return replace(request, json={**as_dict(body), "since": seq})


LANGGRAPH: Dialect[Delta, Message] = Dialect(
    reader=LangGraphReader,
    terminator=Terminator(event="end"),
    pings=PINGS,
    errors=(
        ErrorEvent(test=is_error, message="message", code="error")
        | ErrorEvent(field="__error__", message="__error__.message", code="__error__.error")
    ),
    resume=LastEventID(method="GET", url=location),
)
"""
LangGraph's `runs/stream`.

The protocol has no end of its own: only the transport can tell that something is missing. A stream is resumed if the
request asked for `stream_resumable`; as its event IDs repeat, an event at the cut may be lost, but none comes twice.
"""

LANGGRAPH_EVENTS: Dialect[Delta, Message] = Dialect(
    reader=LangGraphEventsReader,
    pings=PINGS,
    errors=ErrorEvent(field="type", values={"error"}, message="message", code="error") | ErrorEvent(event="error"),
    resume=Cursor(None, advance, request_since),
)
"""LangGraph's events of a thread, protocol version 3. The run's `lifecycle` tells its end, if you subscribe to it."""
