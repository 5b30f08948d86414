"""The shape of the package: who may import whom, what is public, and what an import brings along."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import sse_client

PACKAGE = Path(sse_client.__file__).parent

# A file may import from the lines above it, and from no other: one direction, no circles.
LAYERS = [
    *("_version", "_event", "_stats", "_errors", "_parser", "_request"),
    *("_timeouts", "_retry", "_resume", "_marks"),
    *("_core.__init__", "_core.steps", "_core.strays", "_core.session"),
    *("_typed", "_accumulate", "_handlers", "_reader", "_dialect"),
    *("_shells.__init__", "_shells.codings", "_shells.waking", "_shells.http2", "_shells.http"),
    *("_shells.attempt", "_shells.stream", "_shells.sync", "_shells.async_"),
    "__init__",
    *("dialects._partial", "dialects._message", "dialects._vocabulary", "dialects._reader"),
    "dialects._chat",
    "dialects._anthropic",
    "dialects._responses",
    "dialects._gemini",
    "dialects.__init__",
    *("testing._encode", "testing._script", "testing._server", "testing._transport"),
    *("testing._faults", "testing._cassette", "testing.__init__"),
]

# What is said and what to do know no I/O, no clock and no chance.
PURE = LAYERS[: LAYERS.index("_dialect") + 1]
IMPURE = {"httpx", "httpx2", "anyio", "asyncio", "trio", "threading", "socket", "ssl", "select", "time", "random"}
FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


class OnlyForTypes(ast.NodeTransformer):
    """Takes away what only a type checker sees."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        return node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield how many dots and which module each import of a file has, wherever it stands, when it runs."""
    for node in ast.walk(OnlyForTypes().visit(ast.parse(path.read_text()))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module is None:
                yield from ((node.level, alias.name) for alias in node.names)
            else:
                yield node.level, node.module


def own_imports(path: Path) -> set[str]:
    """The modules of the package that a file imports."""
    found: set[str] = set()
    for dots, module in imports_of(path):
        if dots:
            parents = path.relative_to(PACKAGE).parts[:-1]
            found.add(".".join((*parents[: len(parents) - dots + 1], module)))
        elif module.partition(".")[0] == "sse_client":
            found.add(module.partition(".")[2] or "__init__")
    return found


def foreign_imports(path: Path) -> set[str]:
    """The top-level packages of others that a file imports."""
    return {module.partition(".")[0] for dots, module in imports_of(path) if not dots} - {"sse_client"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_one_direction(path: Path) -> None:
    """A file imports only from the lines above it."""
    above = LAYERS[: LAYERS.index(name_of(path))]
    assert own_imports(path) <= set(above)


@pytest.mark.parametrize("path", [path for path in FILES if name_of(path) in PURE], ids=name_of)
def test_no_io_in_what_is_said_and_decided(path: Path) -> None:
    """Up to the session, nothing knows an HTTP client, a socket, a thread, a clock or chance."""
    assert not foreign_imports(path) & IMPURE


def test_who_does_it() -> None:
    """HTTP clients, event loops and threads are known to the shells alone."""
    allowed = {"_shells.waking", "_shells.http", "_shells.http2", "_shells.sync", "_shells.async_"}
    known = {"httpx", "anyio", "threading"}
    users = {name_of(path) for path in FILES if foreign_imports(path) & known}
    assert {name for name in users if not name.startswith("testing.")} <= allowed


def test_who_knows_pydantic() -> None:
    """What an event means to the user is known to `_typed` alone; below it, an event is a plain record."""
    users = {name_of(path) for path in FILES if "pydantic" in foreign_imports(path)}
    assert {name for name in users if not name.startswith("testing.")} == {"_typed"}


def test_no_optional_dependency_is_imported() -> None:
    """What is optional is never imported by name: it is found from what the user brings."""
    assert not {
        name_of(path) for path in FILES if foreign_imports(path) & {"httpx2", "httpx_aiohttp", "trio", "h2", "pytest"}
    }


def test_testing_is_no_part_of_the_library() -> None:
    """What is for tests is imported by tests."""
    users = [path for path in FILES if any(name.startswith("testing") for name in own_imports(path))]
    assert all(path.parent.name == "testing" for path in users)


def test_all_is_what_is_public() -> None:
    """`__all__` names all that is public, and nothing else."""
    submodules = {path.stem for path in PACKAGE.iterdir()}
    public = {
        name
        for name, value in vars(sse_client).items()
        if not name.startswith("_") and not (isinstance(value, ModuleType) and name in submodules)
    }
    assert set(sse_client.__all__) == public
    assert len(sse_client.__all__) == len(public)


def test_all_is_sorted() -> None:
    """The names are in ruff's order: constants, classes, functions, each by the alphabet."""

    def key(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2), name

    assert list(sse_client.__all__) == sorted(sse_client.__all__, key=key)


def test_init_only_imports() -> None:
    """`__init__` holds its docstring, imports, and `__all__`."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        assert isinstance(node, ast.ImportFrom | ast.Assign | ast.Expr), ast.dump(node)
        if isinstance(node, ast.Assign):
            assert [target.id for target in node.targets if isinstance(target, ast.Name)] == ["__all__"]


@pytest.mark.parametrize("name", sse_client.__all__)
def test_all_that_is_public_is_documented(name: str) -> None:
    """Each public name has a docstring of its own."""
    assert vars(getattr(sse_client, name)).get("__doc__") or getattr(sse_client, name).__doc__


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_each_module_says_what_it_is(path: Path) -> None:
    """Each module has a docstring."""
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_an_import_brings_nothing_optional() -> None:
    """Importing it imports no second HTTP client, no second event loop, nothing for tests, and of pydantic no model."""
    code = "import sys, sse_client; print(*{name.partition('.')[0] for name in sys.modules}, *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent, timeout=30
    )
    assert not set(done.stdout.split()) & {"aiohttp", "httpx2", "trio", "pytest", "h2", "hypothesis", "pydantic.main"}


def test_typed() -> None:
    """The package says that it is typed (PEP 561)."""
    assert (PACKAGE / "py.typed").exists()
