"""
A2A: the task of another agent, versions 1.0 and 0.3, over JSON-RPC or REST.

A task grows artifacts, whose parts are those of the message. Its status comes beside them; a final one, or one that
waits for the user, makes the reply complete. An agent may also reply with a message, without a task.
"""

from typing import Any, TypeAlias

from sse_client import Dialect, ErrorEvent, ServerSentEvent

from ._message import FinishReason, Message, Part, Text
from ._reader import DONE, PINGS, MessageReader, as_dict, as_list, as_text, kind_of, unknown
from ._vocabulary import Data, Delta, Replaced

Fields: TypeAlias = dict[str, Any]

REASONS: dict[str, FinishReason] = {
    "COMPLETED": "stop",
    "FAILED": "error",
    "REJECTED": "error",
    "CANCELED": "cancelled",
    "CANCELLED": "cancelled",
    "INPUT_REQUIRED": "pause",
    "AUTH_REQUIRED": "pause",
}

# The kinds of responses, by the field that holds them in 1.0, or their `kind` in 0.3.
KINDS = {
    "task": "task",
    "message": "message",
    "statusUpdate": "status",
    "status-update": "status",
    "artifactUpdate": "artifact",
    "artifact-update": "artifact",
}

CONTENTS = ("data", "file", "url", "raw")


def render_text(part: Text) -> Any:
    return {**part._native, "text": part.text}


class A2AReader(MessageReader):
    """Reads the responses to a message, and a `Task` or a `Message` as a whole."""

    ENDS_PARTS = True

    def __init__(self) -> None:
        super().__init__()
        self._task: Fields = {}
        self._history: list[Any] = []
        self._artifacts: dict[str, tuple[Fields, list[Part]]] = {}
        self._message: Any = None
        self._is_ended = False

    @property
    def is_complete(self) -> bool:
        return self._is_ended

    def read(self, event: ServerSentEvent) -> list[Delta]:
        if not event.data or event.data == DONE:
            return []
        value = event.json()
        fields = as_dict(value)
        if isinstance(fields.get("result"), dict):
            fields = fields["result"]
        kind = KINDS.get(as_text(fields.get("kind")), "")
        for name, meaning in KINDS.items():
            if not kind and isinstance(fields.get(name), dict):
                kind, fields = meaning, fields[name]
        if not kind and isinstance(fields.get("status"), dict) and "id" in fields:
            kind = "task"  # as REST returns it without a stream
        match kind:
            case "task":
                return self._read_task(fields)
            case "status":
                self.identify(id=fields.get("taskId"))
                return self._read_status(fields)
            case "artifact":
                self.identify(id=fields.get("taskId"))
                is_added, is_last = fields.get("append") is True, fields.get("lastChunk") is True
                return self._read_artifact(as_dict(fields.get("artifact")), is_added=is_added, is_last=is_last)
            case "message":
                return self._read_message(fields)
            case _:
                return unknown(kind_of(event, value), value)

    def _read_task(self, task: Fields) -> list[Delta]:
        """Read a task, which replaces all parts, also after a new subscription."""
        had_parts = bool(self.message.parts)
        self.take_back()
        self._artifacts = {}
        self._task = {name: task[name] for name in task if name not in ("artifacts", "status", "history")}
        self._history = [*as_list(task.get("history"))]
        self.identify(id=task.get("id"), role="agent")
        deltas: list[Delta] = []
        for each in as_list(task.get("artifacts")):
            deltas += self._read_artifact(as_dict(each), is_added=False, is_last=True)
        if had_parts:
            deltas = [Replaced(self.message)]
        return deltas + self._read_status({"status": task.get("status")})

    def _read_status(self, update: Fields) -> list[Delta]:
        if not isinstance(update.get("status"), dict):
            return []
        status = as_dict(update["status"])
        said = as_dict(self._task.get("status")).get("message")
        if said is not None:
            self._history.append(said)
        self._task["status"] = status
        if metadata := as_dict(update.get("metadata")):
            self._task["metadata"] = {**as_dict(self._task.get("metadata")), **metadata}
        state = as_text(status.get("state"))
        reason = REASONS.get(state.upper().replace("-", "_").removeprefix("TASK_STATE_"))
        self._is_ended = reason is not None or update.get("final") is True
        deltas: list[Delta] = [Data("status", status)]
        return deltas + self.finish(reason or "other", state or None) if self._is_ended else deltas

    def _read_artifact(self, artifact: Fields, *, is_added: bool, is_last: bool) -> list[Delta]:
        key = as_text(artifact.get("artifactId"))
        is_replaced = key in self._artifacts and not is_added
        if is_replaced or key not in self._artifacts:
            self._artifacts[key] = {}, []
        fields, parts = self._artifacts[key]
        metadata = {**as_dict(fields.get("metadata")), **as_dict(artifact.get("metadata"))}
        fields.update((name, value) for name, value in artifact.items() if name != "parts")
        if metadata:
            fields["metadata"] = metadata
        deltas: list[Delta] = []
        for each in as_list(artifact.get("parts")):
            deltas += self._add_part(each, parts)
        if is_last and parts:
            self.end(parts[-1])
        if not is_replaced:
            return deltas
        self.take_back()
        for _, kept in self._artifacts.values():
            for part in kept:
                self.begin(part)
        return [Replaced(self.message)]

    def _add_part(self, value: Any, parts: list[Part]) -> list[Delta]:
        """Add a part; a text goes on with the one before."""
        fields = as_dict(value)
        text = fields.get("text")
        if not isinstance(text, str):
            kind = as_text(fields.get("kind")) or next((name for name in CONTENTS if name in fields), "part")
            deltas = self.add(kind, value)
            parts.append(self.message.parts[-1])
            return deltas
        part = parts[-1] if parts else None
        if not isinstance(part, Text):
            native = {name: each for name, each in fields.items() if name != "text"}
            part = Text("text", native=native, render=render_text)
            self.begin(part)
            parts.append(part)
        return self.grow(part, text)

    def _read_message(self, message: Fields) -> list[Delta]:
        """The whole reply of an agent that needs no task."""
        self._message = message
        self._is_ended = True
        self.identify(id=message.get("messageId"), role="agent")
        deltas: list[Delta] = []
        parts: list[Part] = []
        for each in as_list(message.get("parts")):
            deltas += self._add_part(each, parts)
        return deltas + self.finish("stop")

    def native(self) -> Any:
        """The `Task`, or the `Message`."""
        if self._message is not None:
            return self._message
        task = {"id": self.message.id, **self._task}
        if self._history:
            task["history"] = [*self._history]
        if self._artifacts:
            parts = [(fields, [part.native for part in parts]) for fields, parts in self._artifacts.values()]
            task["artifacts"] = [{**fields, "parts": natives} for fields, natives in parts]
        return task


A2A: Dialect[Delta, Message] = Dialect(
    reader=A2AReader,
    pings=PINGS,
    errors=ErrorEvent(field="error") | ErrorEvent(event="error"),
    accept_json=True,  # agents that do not stream return the task, or say so in an error with status 200
)
"""
A2A: the task of another agent. The reply ends with the body.

`message.native` is the `Task`. To resume, subscribe to the task by its ID: a new call, which begins with all of it.
"""
