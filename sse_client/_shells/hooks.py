"""
Sending a request through the event hooks of the user's client.

A hook may raise the same exceptions as a transport; it is the user's own error only if it was raised inside a hook. And
httpx closes a response if a hook raises, but we must still read one that a hook refused for its status. So if a client
has hooks, they are placed between two of ours, which do nothing for other requests of the client.
"""

import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

from .._core.steps import Connect
from .http import DeadlineReached, library_of, send_options

# The key in a request's extensions, while it is sent, of the `Hooks` that follow its progress.
HOOKS = "sse_client.hooks"


class Hooks:
    """Whether a request is in the event hooks of its client, and the response that one of them refused."""

    __slots__ = ("_are_running", "_library", "_response", "refused")

    def __init__(self, library: ModuleType) -> None:
        self.refused: Any = None
        """The response for which a hook raised an `HTTPStatusError`; it can still be read."""
        self._library = library
        self._are_running = False
        self._response: Any = None  # while the hooks have it

    def surround(self, client: Any, before: Any, after: Any) -> None:
        """Place the client's hooks between ours, unless they already are."""
        hooks = client.event_hooks
        if any(each and (each[0] is not before or each[-1] is not after) for each in hooks.values()):
            client.event_hooks = {
                name: [before, *(hook for hook in each if hook is not before and hook is not after), after]
                for name, each in hooks.items()
            }

    @contextmanager
    def around(self, request: Any) -> Generator[None]:
        """Surround the sending of a request. An `HTTPStatusError` for its response is caught: that response is used."""
        self._are_running = False
        self.refused = None
        request.extensions[HOOKS] = self
        try:
            yield
        except self._library.HTTPStatusError as error:
            if not self._is_answer(error.response):
                raise
            self.refused = error.response
            self._are_running = False
        finally:
            request.extensions.pop(HOOKS, None)
            self._let_go()

    def enter(self, message: Any) -> None:
        """Record that the hooks are called next, with this request or response."""
        self._are_running = True
        if hasattr(message, "request"):
            self._response = message
            message.close = partial(_close, message, message.close)
            message.aclose = partial(_aclose, message, message.aclose)

    def leave(self) -> None:
        """Record that all hooks have returned."""
        self._are_running = False
        self._let_go()

    def have_raised(self, error: Exception) -> bool:
        """Whether an exception of `send` comes from the user's own code."""
        # A status error of another response: to a request that a hook, or an auth, made itself.
        is_of_another = isinstance(error, self._library.HTTPStatusError)
        return is_of_another or (self._are_running and not isinstance(error, DeadlineReached))

    def _is_answer(self, response: Any) -> bool:
        try:
            return _hooks_of(response) is self
        except RuntimeError:  # a response without a request
            return False

    def _let_go(self) -> None:
        response, self._response = self._response, None
        if response is not None:
            del response.close, response.aclose


def _hooks_of(message: Any) -> Hooks | None:
    """Return the hooks that follow this request, or the request of this response."""
    hooks: Hooks | None = getattr(message, "request", message).extensions.get(HOOKS)
    return hooks


def _before_hooks(message: Any) -> None:
    if (hooks := _hooks_of(message)) is not None:
        hooks.enter(message)


def _after_hooks(message: Any) -> None:
    if (hooks := _hooks_of(message)) is not None:
        hooks.leave()


async def _abefore_hooks(message: Any) -> None:
    _before_hooks(message)


async def _aafter_hooks(message: Any) -> None:
    _after_hooks(message)


def _close(response: Any, close: Callable[[], None]) -> None:
    """Close a response that the hooks have, unless httpx does so because one of them refused it for its status."""
    if not _is_refused(response):
        close()


async def _aclose(response: Any, aclose: Callable[[], Awaitable[None]]) -> None:
    if not _is_refused(response):
        await aclose()


def _is_refused(response: Any) -> bool:
    error: Any = sys.exception()
    return isinstance(error, library_of(response, "Response").HTTPStatusError) and error.response is response


def send(client: Any, request: Any, step: Connect, hooks: "Hooks") -> Any:
    """Send the request; return the response, also if a hook of the client refused it for its status."""
    hooks.surround(client, _before_hooks, _after_hooks)
    with hooks.around(request):
        return client.send(request, **send_options(step))
    return hooks.refused


async def asend(client: Any, request: Any, step: Connect, hooks: "Hooks") -> Any:
    """The same, async."""
    hooks.surround(client, _abefore_hooks, _aafter_hooks)
    with hooks.around(request):
        return await client.send(request, **send_options(step))
    return hooks.refused
