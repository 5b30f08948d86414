"""
The reply so far: a `Message` and its parts, live while the stream is read.

A part keeps its text in pieces, and joins them on request: adding to it copies nothing. Another thread may ask while
one adds. `native` is made on request too, by the reader that knows the protocol. A copy, or a pickle, of a message is a
plain value: it keeps the `native` of that moment, and nothing of the reader.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from pydantic_core import from_json

from ._partial import PartialJSON, Path

FinishReason: TypeAlias = Literal[
    "stop", "length", "tool_calls", "content_filter", "refusal", "pause", "cancelled", "error", "other"
]
"""Why a reply ended. `pause` waits for the user or for another request; `other` is a reason unknown to the dialect."""

# Characters with which the text of a JSON value may end.
ENDS_OF_JSON = '}]"0123456789el'

# Enough of a text to recognize it in a repr.
MAX_SHOWN = 60


class Usage:
    """
    The tokens of a reply, as the protocol counts them; `None` for those that it does not tell.

    `cached_tokens` were read from a cache. `native` is the server's own object, with everything else.
    """

    __slots__ = ("cached_tokens", "input_tokens", "native", "output_tokens", "reasoning_tokens", "total_tokens")

    def __init__(
        self,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        total_tokens: int | None = None,
        cached_tokens: int | None = None,
        reasoning_tokens: int | None = None,
        native: Any = None,
    ) -> None:
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.total_tokens = total_tokens
        self.cached_tokens = cached_tokens
        self.reasoning_tokens = reasoning_tokens
        self.native = native

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Usage):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Usage.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Usage(input_tokens={self.input_tokens}, output_tokens={self.output_tokens})"


class Part:
    """One part of a message."""

    __slots__ = ("_native", "_render", "id", "is_done", "kind")

    kind: str
    """The type of the part: `text`, `reasoning`, `refusal`, a tool call's `function`; else the server's own word."""
    id: str | None
    """The server's ID of the part."""
    is_done: bool
    """Whether the server has ended the part. It stays false if the stream was cut before."""

    def __init__(
        self, kind: str, *, id: str | None = None, native: Any = None, render: Callable[[Any], Any] | None = None
    ) -> None:
        self.kind = kind
        self.id = id
        self.is_done = False
        self._native = native
        self._render = render

    @property
    def native(self) -> Any:
        """The part as the server would have returned it without streaming; `None` if the protocol has no such thing."""
        return self._native if self._render is None else self._render(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.kind!r}>"


class Other(Part):
    """A part that came as a whole: a file, an image, a source, a citation, a search result. See `kind`, `native`."""

    __slots__ = ()


class Written(Part):
    """A part that the server writes piece by piece."""

    __slots__ = ("_changes", "_fed", "_joined", "_json", "_pieces")

    def __init__(
        self, kind: str, *, id: str | None = None, native: Any = None, render: Callable[[Any], Any] | None = None
    ) -> None:
        self.kind = kind
        self.id = id
        self.is_done = False
        self._native = native
        self._render = render
        self._pieces: list[str] = []
        self._joined = "", 0  # the text and its number of pieces; one value, so that no other thread sees it half-made
        self._json: PartialJSON | None = None
        self._fed = 0  # how many pieces the JSON has
        self._changes: Sequence[tuple[Path, str]] = ()  # of the last of them

    def _text(self) -> str:
        text, count = self._joined
        total = len(self._pieces)
        if count != total:
            text += "".join(self._pieces[count:total])
            self._joined = text, total
        return text

    def _replace(self, text: str) -> None:
        """Forget the pieces; begin with the text."""
        self._pieces = [text] if text else []
        self._joined = "", 0
        self._json = None
        self._fed = 0

    def _feed(self, total: int) -> PartialJSON:
        """Parse this many pieces of the JSON. Text that is not JSON leaves it at the last good value."""
        json = self._json
        if json is None:
            json = self._json = PartialJSON()
        if self._fed < total:
            pieces = self._pieces[self._fed : total]
            self._fed = total
            self._changes = ()
            try:
                if len(pieces) > 1:
                    json.feed("".join(pieces[:-1]))
                self._changes = json.feed(pieces[-1])
            except ValueError:
                pass
        return json

    def _changes_of(self, index: int) -> Sequence[tuple[Path, str]]:
        """Return the additions of the piece with this index to strings."""
        if index >= len(self._pieces):
            return ()  # it was replaced
        if index + 1 >= self._fed:
            self._feed(index + 1)
            return self._changes
        # The user has looked at a later value before. So this one is told from the beginning, by a machine of its own.
        json = PartialJSON()
        try:
            json.feed("".join(self._pieces[:index]))
            return json.feed(self._pieces[index])
        except ValueError:
            return ()

    def __repr__(self) -> str:
        text = self._text()
        return f"{type(self).__name__}({text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + '…'!r})"


class Text(Written):
    """Text for the user."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text()

    @property
    def partial(self) -> Any:
        """
        The text as JSON so far, for structured output; `None` if it has not begun, or is not JSON.

        A string grows, everything else appears when it is whole. The value is live: copy it if you keep it.
        """
        return self._feed(len(self._pieces)).value


class Reasoning(Written):
    """The model's reasoning, or a summary of it."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text()


class Refusal(Written):
    """Text that says why the model refuses."""

    __slots__ = ()

    @property
    def text(self) -> str:
        """The text so far."""
        return self._text()


class ToolCall(Written):
    """
    A call of a tool, by `name`, with `arguments`.

    `kind` is `function` for a call that you run; else the server's word: `custom`, `mcp`, `server`, …
    """

    __slots__ = ("_is_json", "_parsed", "_value", "error", "name", "output")

    name: str | None
    """The tool's name."""
    output: Any
    """The result of a tool that the server ran."""
    error: Any
    """The error of a tool that the server ran."""

    def __init__(
        self,
        kind: str = "function",
        *,
        id: str | None = None,
        name: str | None = None,
        is_json: bool = True,
        native: Any = None,
        render: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(kind, id=id, native=native, render=render)
        self.name = name
        self.output = None
        self.error = None
        self._is_json = is_json
        self._value: Any = None
        self._parsed: tuple[int, Any, str | None] = -1, None, None

    @property
    def arguments(self) -> str:
        """The arguments so far, as received."""
        return self._text()

    @property
    def is_whole(self) -> bool:
        """
        Whether the arguments are one complete JSON value: whether the call may run.

        No arguments count as `{}` if the server has ended the call. An input that is text by definition, as of a
        custom tool, is whole then too.
        """
        if not self._is_json or not self._pieces:
            return self.is_done
        return self._is_whole() if self.is_done else self._feed(len(self._pieces)).is_whole

    @property
    def input(self) -> Any:
        """
        The arguments, parsed; never repaired. A custom tool's input is its text.

        Raises `ValueError` if the arguments are not whole.
        """
        if not self._pieces and not self.is_done:
            raise ValueError("the arguments have not come")
        if not self._is_json:
            return self._text()
        value, fault = self._parse()
        if fault is not None:
            raise ValueError(f"the arguments are not whole: {fault}")
        return value

    @property
    def partial(self) -> Any:
        """
        The arguments so far; `None` if they have not begun. Not for running the call: see `is_whole`.

        A string grows, everything else appears when it is whole. The value is live: copy it if you keep it.
        """
        if not self._is_json:
            return self._text()
        if self._value is not None:
            return self._value
        return self._feed(len(self._pieces)).value

    def _is_whole(self) -> bool:
        """Whether the arguments are whole, for the reader: it leaves alone the JSON that another thread may look at."""
        # Most of what is not whole shows at its end, without a look at the rest.
        return self._pieces[-1].rstrip()[-1:] in ENDS_OF_JSON and self._parse()[1] is None

    def _parse(self) -> tuple[Any, str | None]:
        """The value of the arguments, or why they have none."""
        count, value, fault = self._parsed
        total = len(self._pieces)
        if count != total:
            value, fault = parse(self._text())
            self._parsed = total, value, fault
        return value, fault

    def __repr__(self) -> str:
        return f"ToolCall({self.kind!r}, id={self.id!r}, name={self.name!r}, is_done={self.is_done})"


def parse(text: str) -> tuple[Any, str | None]:
    """Parse a call's arguments; return the value, and why it is not one JSON value, if it is not."""
    if not text:
        return {}, None
    try:
        return from_json(text, allow_inf_nan=False), None
    except ValueError:
        pass
    # Only this one knows half of a surrogate pair, which is JSON nevertheless; and its errors quote less.
    json = PartialJSON()
    try:
        json.feed(text)
        return json.result(), None
    except ValueError as error:
        return None, str(error)


class Owner(Protocol):
    """The reader of a message, which the message asks for what it cannot know."""

    @property
    def has_ended(self) -> bool: ...
    def native(self) -> Any: ...


class Message:
    """
    A reply so far: its parts in order, and what the server said about it.

    If the server was asked for several replies, `choices` has each of them by index; the first is the message itself.
    """

    __slots__ = (
        *("_kept", "_owner", "choices", "finish_reason", "id", "index"),
        *("model", "native_finish_reason", "parts", "role", "usage"),
    )

    id: str | None
    model: str | None
    role: str | None
    parts: list[Part]
    """In order: `Text`, `Reasoning`, `Refusal`, `ToolCall`, `Other`."""
    finish_reason: FinishReason | None
    """Why the reply ended; `None` if the server has not said so."""
    native_finish_reason: str | None
    """The same in the server's own word."""
    usage: Usage | None
    choices: "dict[int, Message]"
    index: int
    """The message's own key in `choices`."""

    def __init__(self, owner: Owner | None = None, *, index: int = 0) -> None:
        self.id = None
        self.model = None
        self.role = None
        self.parts = []
        self.finish_reason = None
        self.native_finish_reason = None
        self.usage = None
        self.choices = {index: self}
        self.index = index
        self._owner = owner
        self._kept: tuple[Any, bool] = None, False

    @property
    def text(self) -> str:
        """The text of all `Text` parts, joined."""
        return "".join([part.text for part in self.parts if isinstance(part, Text)])

    @property
    def last_text(self) -> str:
        """The text of the last `Text` part, and of those with its ID: of the last message, if a run has several."""
        texts = [part for part in self.parts if isinstance(part, Text)]
        return "".join([part.text for part in texts if part.id == texts[-1].id])

    @property
    def reasoning(self) -> str:
        """The text of all `Reasoning` parts, joined."""
        return "".join([part.text for part in self.parts if isinstance(part, Reasoning)])

    @property
    def refusal(self) -> str:
        """The text of all `Refusal` parts, joined."""
        return "".join([part.text for part in self.parts if isinstance(part, Refusal)])

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls of tools, in order, also of those that the server runs."""
        return [part for part in self.parts if isinstance(part, ToolCall)]

    @property
    def native(self) -> Any:
        """The response that the server would have sent without streaming. Built on access; keep it to use it twice."""
        return self._kept[0] if self._owner is None else self._owner.native()

    @property
    def ended_well(self) -> bool:
        """Whether all is there: the server ended the reply, by `stop` or `tool_calls`, and each call is whole."""
        has_ended = self._kept[1] if self._owner is None else self._owner.has_ended
        is_good = self.finish_reason == "stop" or self.finish_reason == "tool_calls"
        return has_ended and is_good and all(call.is_whole for call in self.tool_calls)

    def __getstate__(self) -> dict[str, Any]:
        has_ended = self._kept[1] if self._owner is None else self._owner.has_ended
        state = {name: getattr(self, name) for name in Message.__slots__ if name not in ("_owner", "_kept")}
        return {**state, "_kept": (self.native, has_ended)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._owner = None
        for name, value in state.items():
            setattr(self, name, value)

    def __repr__(self) -> str:
        return f"<Message {self.id!r} parts={self.parts!r} finish_reason={self.finish_reason!r}>"
