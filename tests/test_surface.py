"""The public surface: every attribute of every public class is documented, and both clients have the same."""

import ast
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

import sse_client
import sse_client.httpx_sse
import sse_client.testing

# httpx_sse has its own `EventSource` and `SSEError`: the module is part of the name.
MODULES = {"": sse_client, "testing.": sse_client.testing, "httpx_sse.": sse_client.httpx_sse}
HAS_OTEL = find_spec("opentelemetry") is not None  # which is an extra
if HAS_OTEL:
    MODULES["otel."] = importlib.import_module("sse_client.otel")
CLASSES = {
    prefix + name: cls
    for prefix, module in MODULES.items()
    for name in module.__all__
    if isinstance(cls := getattr(module, name), type)
}

# The same thing has two names if Python gives it two, or httpx does.
ASYNC_NAMES = {
    "close": "aclose",
    "__enter__": "__aenter__",
    "__exit__": "__aexit__",
    "__iter__": "__aiter__",
    "__next__": "__anext__",
}

# Names that only one of the two can have, and why.
ONE_SIDED = {
    "__del__": "only a sync stream can close itself when it is collected: closing an async one needs its event loop",
}


def source_of(cls: type) -> ast.ClassDef:
    """The definition of a class. Errors set their module to the package's, so every module is searched."""
    for module in modules():
        if vars(module).get(cls.__name__) is cls:
            for node in definitions(module):
                if node.name == cls.__name__:
                    return node
    raise LookupError(cls)


@cache
def modules() -> list[ModuleType]:
    root = Path(sse_client.__file__).parent
    names = (".".join(path.relative_to(root.parent).with_suffix("").parts) for path in sorted(root.rglob("*.py")))
    return [
        importlib.import_module(name)
        for name in names
        if not name.endswith("__init__") and (HAS_OTEL or not name.startswith("sse_client.otel"))
    ]


@cache
def definitions(module: ModuleType) -> list[ast.ClassDef]:
    return [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.ClassDef)]


def attributes_of(cls: type) -> dict[str, bool]:
    """The public attributes of a class, with those inherited from ours, and whether each is documented."""
    found: dict[str, bool] = {}
    for each in cls.__mro__:
        if each.__module__.partition(".")[0] == "sse_client":
            for name, is_documented in attributes_in(source_of(each)):
                if not name.startswith("_"):
                    found[name] = found.get(name, False) or is_documented
    return found


def attributes_in(node: ast.ClassDef) -> Iterator[tuple[str, bool]]:
    """Everything that a class body defines, or its methods set, and whether it has a docstring."""
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            yield statement.name, ast.get_docstring(statement) is not None
            for inner, after_inner in zip(statement.body, [*statement.body[1:], None], strict=True):
                for target in targets_of(inner):
                    if ast.unparse(target).startswith("self."):
                        yield ast.unparse(target).removeprefix("self."), is_text(after_inner)
        for target in targets_of(statement):
            yield ast.unparse(target), is_text(after)


def targets_of(statement: ast.stmt) -> list[ast.expr]:
    if isinstance(statement, ast.AnnAssign):
        return [statement.target]
    return statement.targets if isinstance(statement, ast.Assign) else []


def is_text(statement: ast.stmt | None) -> bool:
    """Whether the statement is only a string: the docstring of the attribute before it."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


ATTRIBUTES = [f"{name}.{attribute}" for name, cls in CLASSES.items() for attribute in attributes_of(cls)]


def test_attributes_are_found() -> None:
    """Methods, properties, fields, and attributes that a constructor sets are all found, even inherited ones."""
    expected = {
        "SSEClient.post",
        "EventStream.response",
        "AsyncEventStream.aclose",
        "StreamTimeout.last_event_id",
        "Terminator.field",
        "Handlers.open",
        "EventParser.last_event_id",
        "RetryPolicy.RESUME",
        "testing.EventServer.url",
        "httpx_sse.EventSource.response",
    }
    assert expected <= set(ATTRIBUTES)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_every_public_attribute_is_documented(attribute: str) -> None:
    """Each public attribute of a public class has a docstring, for `help()` and editors."""
    name, _, own = attribute.rpartition(".")
    assert attributes_of(CLASSES[name])[own], "it has no docstring"


def test_no_optional_library_is_needed_for_types() -> None:
    """Only the testing package imports httpx2: type checkers treat a class that they cannot find as `Any`."""
    package = Path(sse_client.__file__).parent
    users = {path for path in package.rglob("*.py") if re.search(r"\n\s*(import|from) httpx2", path.read_text())}
    assert {path.parent.name for path in users} <= {"testing"}


TYPED = sorted((Path(__file__).parent / "typing").glob("*.py"))


@pytest.mark.parametrize("path", TYPED, ids=lambda path: path.stem)
def test_lines_that_must_fail(path: Path) -> None:
    """
    Each ignored line of `tests/typing` is an error in mypy and in pyright, because both report superfluous ignores.
    """
    project = tomllib.loads((path.parents[2] / "pyproject.toml").read_text())["tool"]
    assert project["mypy"]["strict"]
    assert "tests" in project["mypy"]["files"]
    assert "tests/typing" in project["pyright"]["include"]
    text = path.read_text()
    assert "# pyright: strict, reportUnnecessaryTypeIgnoreComment=true\n" in text
    assert "# type: ignore[" in text
    assert not re.search(r"# type: ignore(?!\[)|# pyright: ignore", text)


PAIRS = [(name.removeprefix("Async"), name) for name in sse_client.__all__ if name.startswith("Async")]


def names_of(cls: type) -> set[str]:
    """The names of all methods and attributes of a class that users see, special ones too."""
    ours = (each for each in cls.__mro__ if each.__module__.partition(".")[0] == "sse_client")
    special = {name for each in ours for name in vars(each) if name.startswith("__") and callable(getattr(each, name))}
    return {*special, *attributes_of(cls)} - {"__class_getitem__", "__init_subclass__"}


def test_pairs() -> None:
    """Every async class has a sync one of the same name."""
    assert {name for pair in PAIRS for name in pair} <= set(CLASSES)
    assert len(PAIRS) == 3


@pytest.mark.parametrize(("sync", "async_"), PAIRS)
def test_sync_and_async_are_alike(sync: str, async_: str) -> None:
    """Each name of a sync class is in its async counterpart too, the same or in its async form."""
    expected = {ASYNC_NAMES.get(name, name) for name in names_of(CLASSES[sync]) - ONE_SIDED.keys()}
    assert expected == names_of(CLASSES[async_])


@pytest.mark.parametrize(("sync", "async_"), [*PAIRS, ("iter_events", "aiter_events")])
def test_sync_and_async_take_the_same_arguments(sync: str, async_: str) -> None:
    """The methods of both take arguments of the same names and kinds, with the same defaults."""

    def arguments(function: object) -> list[tuple[str, object, object]]:
        assert callable(function)
        return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]

    first, second = getattr(sse_client, sync), getattr(sse_client, async_)
    assert arguments(first) == arguments(second)
    if isinstance(first, type):
        for name in names_of(first) - ONE_SIDED.keys():
            method = getattr(first, name, None)
            if inspect.isfunction(method):
                assert arguments(method) == arguments(getattr(second, ASYNC_NAMES.get(name, name))), name
