"""Who stands in the way: the proxies that show themselves in the head of a response."""

from dataclasses import dataclass

from ._case import Case


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, a CDN or a platform, and how it treats a stream."""

    name: str
    idle_limit: float | None
    """After how many seconds without a byte it ends a stream by default; `None` if it does not, or if it is not known."""
    source: str
    """Where `idle_limit` stands: the setting, and the page of the manual; empty without a limit."""
    buffering_cure: str
    """How to make it pass on each piece at once; empty if it always does."""


def seen(case: Case) -> list[Proxy]:
    """Return the proxies that the response names, each once, in the order of the table."""
    return []
