"""The rule that nothing inside the telemetry disturbs a stream."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("sse_client")


def quietly(function: Callable[P, R]) -> Callable[P, R | None]:
    """Make a function log its exceptions, and return `None` instead."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001
            # Without the traceback: its context may be an error of the HTTP client, which quotes the URL.
            logger.debug("telemetry: %s raised %r", function.__qualname__, error)
            return None

    return guarded
