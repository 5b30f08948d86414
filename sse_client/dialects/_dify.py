"""
Dify: chats, agents, completions and workflows, which share one stream of events.

The kind of an event is the field `event` in its data. A chat ends with `message_end`, a workflow with
`workflow_finished`; a chatflow sends both, in either order. The log of nodes, thoughts and tools is data.
"""

from typing import Any, TypeAlias

from sse_client import Dialect, ErrorEvent, ServerSentEvent

from ._message import FinishReason, Message, Text
from ._reader import DONE, PINGS, MessageReader, as_dict, as_list, as_text, kind_of, unknown
from ._vocabulary import Data, Delta, Replaced

Fields: TypeAlias = dict[str, Any]

REASONS: dict[str, FinishReason] = {
    "succeeded": "stop",
    "partial-succeeded": "stop",
    "failed": "error",
    "stopped": "cancelled",
    "paused": "pause",
}

# Some agents close with a message that repeats the whole text. Shorter ones may say the same twice and mean it.
LONG = 32

# Fields of an event with a piece of the text; they are not kept for the whole response.
OF_A_PIECE = frozenset({"event", "answer", "from_variable_selector"})


class DifyReader(MessageReader):
    """Reads the events of an app, or its response in blocking mode."""

    def __init__(self) -> None:
        super().__init__()
        self._length = 0  # of the text so far
        self._chat: Fields = {}
        self._run: Fields = {}
        self._whole: Any = None
        self._has_workflow = False
        self._is_finished = False  # the workflow
        self._is_ended = False  # the message

    @property
    def is_complete(self) -> bool:
        return self._is_finished or (self._is_ended and not self._has_workflow)

    def read(self, event: ServerSentEvent) -> list[Delta]:
        if not event.data or event.data == DONE:
            return []
        value = event.json()
        fields = as_dict(value)
        kind = as_text(fields.get("event"))
        data = as_dict(fields.get("data"))
        match kind:
            case "message" | "agent_message":
                if "mode" in fields and "metadata" in fields:
                    self._keep(fields)
                    self._whole = fields
                    return self._answer(fields) + self._end(fields)
                if not self._chat:
                    self._keep(fields)
                return self._answer(fields)
            case "text_chunk":
                return self._text(data.get("text"))
            case "reasoning_chunk":
                return self.reasoning(data.get("reasoning"))
            case "message_replace":
                self._keep(fields)
                return self._replace(as_text(fields.get("answer")))
            case "message_file":
                return self.add(kind, value, id=fields.get("id"))
            case "message_end":
                self._keep(fields)
                return self._end(fields)
            case "workflow_started" | "workflow_finished" | "workflow_paused":
                return [Data(kind, value), *self._read_workflow(kind, fields, data)]
            case "human_input_required":
                self._is_finished = True  # until the workflow goes on, perhaps in another stream
                return [Data(kind, value), *self.finish("pause", kind)]
            case "" if "workflow_run_id" in fields and "status" in data:
                self._whole = fields
                return self._read_workflow("workflow_finished", fields, data)
            case _:
                return unknown(kind or kind_of(event, value), value)

    def _keep(self, fields: Fields) -> None:
        self.identify(id=fields.get("message_id"), role="assistant")
        self._chat.update((name, value) for name, value in fields.items() if name not in OF_A_PIECE)

    def _answer(self, fields: Fields) -> list[Delta]:
        text = fields.get("answer")
        if isinstance(text, str) and LONG <= len(text) == self._length and text == self.message.text:
            return []
        return self._text(text)

    def _text(self, text: Any) -> list[Delta]:
        self._length += len(as_text(text))
        return self.text(text)

    def _replace(self, answer: str) -> list[Delta]:
        """Set the whole text, as moderation does."""
        texts = [part for part in self.message.parts if isinstance(part, Text)]
        self._length = len(answer)
        if not texts:
            return self.text(answer)
        self.message.parts = [part for part in self.message.parts if part not in texts[1:]]
        texts[0]._replace(answer)
        return [Replaced(self.message)]

    def _end(self, fields: Fields) -> list[Delta]:
        """Read the end of a message. If it is a workflow's, that says how it ended."""
        self._is_ended = True
        metadata = as_dict(fields.get("metadata"))
        usage = as_dict(metadata.get("usage"))
        deltas: list[Delta] = []
        for each in as_list(metadata.get("retriever_resources")):
            deltas += self.add("retriever_resource", each)
        deltas += self.usage(
            usage,
            input_tokens=usage.get("prompt_tokens"),
            output_tokens=usage.get("completion_tokens"),
            total_tokens=usage.get("total_tokens"),
        )
        return deltas if self._has_workflow else deltas + self.finish("stop", "message_end")

    def _read_workflow(self, kind: str, fields: Fields, data: Fields) -> list[Delta]:
        self.identify(id=fields.get("message_id") or fields.get("workflow_run_id"), role="assistant")
        self._run = {**{name: fields[name] for name in fields if name not in ("event", "data")}, "data": data}
        if kind == "workflow_started":
            self._has_workflow = True
            self._is_finished = False  # it may go on after a pause
            return []
        self._is_finished = True
        deltas: list[Delta] = []
        if self.message.usage is None and (total := data.get("total_tokens")) is not None:
            deltas = self.usage({"total_tokens": total}, total_tokens=total)
        status = "paused" if kind == "workflow_paused" else as_text(data.get("status"))
        return deltas + self.finish(REASONS.get(status, "other"), kind if status == "succeeded" else status or None)

    def native(self) -> Any:
        """The response in blocking mode: of a chat if there is one, else of the workflow."""
        if self._whole is not None:
            return self._whole
        if self._chat:
            return {"event": "message", **self._chat, "answer": self.message.text}
        return self._run or None


DIFY: Dialect[Delta, Message] = Dialect(
    reader=DifyReader,
    pings=PINGS,
    errors=ErrorEvent(field="event", values={"error"}, message="message", code="code"),
)
"""
Dify's apps. The reply ends with the body.

`message.native_finish_reason` is the event that ended it, or the workflow's status if that is another than `succeeded`.
To resume a workflow, `GET /workflow/{run}/events`: a new call.
"""
