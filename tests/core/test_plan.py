"""
The plan: the differences between a reply and a subscription are data, and no other part of the core knows which it is.
"""

import ast
from dataclasses import fields
from pathlib import Path

import pytest

import sse_client._core
from sse_client import Request, Terminator
from sse_client._core.plan import REPLY, SUBSCRIPTION, Plan, Rules, label

CORE = Path(sse_client._core.__file__).parent
GET = Request(method="GET", url="http://u:p@test/feed?token=1")


def names_in(path: Path) -> set[str]:
    """All names and attributes that a file uses."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    return {node.attr for node in nodes if isinstance(node, ast.Attribute)} | {
        node.id for node in nodes if isinstance(node, ast.Name)
    }


def test_rules() -> None:
    """A plan has the rules of a reply or those of a subscription, which differ in every rule."""
    assert Plan(request=GET).rules is REPLY
    assert Plan(request=GET, is_subscription=True).rules is SUBSCRIPTION
    assert all(getattr(REPLY, field.name) != getattr(SUBSCRIPTION, field.name) for field in fields(Rules))


@pytest.mark.parametrize(
    ("terminator", "ends_at_done"),
    [(None, False), (Terminator(event="end"), False), (Terminator(data="[DONE]"), True)],
    ids=["none", "another", "done"],
)
def test_done_in_a_subscription(terminator: Terminator | None, ends_at_done: bool) -> None:
    """`[DONE]` ends a subscription only if its terminator says so."""
    assert Plan(request=GET, is_subscription=True, terminator=terminator).ends_at_done is ends_at_done
    assert Plan(request=GET, terminator=terminator).ends_at_done


def test_nothing_asks_which_it_is() -> None:
    """Only the plan knows whether it is for a subscription."""
    users = {path.stem for path in CORE.glob("*.py") if "is_subscription" in names_in(path)}
    assert users == {"plan"}


def test_nothing_asks_how_it_is_resumed() -> None:
    """Only the plan and the place know the kinds of `resume=`."""
    users = {path.stem for path in CORE.glob("*.py") if {"LastEventID", "Cursor"} & names_in(path)}
    assert users == {"plan", "place"}


def test_labels() -> None:
    """Texts name a request without its user and its query."""
    assert label(GET) == "GET http://test/feed"
