"""The shape of the package: who may import whom, what is public, and what an import brings along."""

import ast
import functools
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import sse_client

PACKAGE = Path(sse_client.__file__).parent

# Plain values. A word may import the words above it.
WORDS = [
    *("_version", "_event", "_stats", "_errors", "_encoder", "_parser", "_types", "_request", "_timeouts"),
    *("_retry", "_resume", "_marks", "_typed", "_accumulate", "_handlers", "_reader", "_dialect", "_secrets"),
]

# Which room of the house may import which others, besides itself.
ROOMS = {
    "words": set[str](),
    "_core": {"words"},
    "_shells": {"words", "_core"},
    "__init__": {"words", "_shells"},
    "dialects": {"__init__"},
    "httpx_sse": {"__init__"},
    "otel": {"words", "_core", "_shells"},
    "testing": {"__init__", "words", "_shells"},
    "cli": {"__init__", "words", "dialects", "testing"},
    "__main__": set(),
}

# The most lines that a file may have: in the shells, and anywhere else.
MAX_LINES_OF_A_SHELL = 350
MAX_LINES = 600

# Words and decisions know no I/O, no clock and no chance.
IMPURE = {"httpx", "httpx2", "anyio", "asyncio", "trio", "threading", "socket", "ssl", "select", "time", "random"}
FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


class OnlyForTypes(ast.NodeTransformer):
    """Takes away what only a type checker sees."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        return node.orelse if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


@functools.cache
def imports_of(path: Path) -> list[tuple[int, str]]:
    """How many dots and which module each import of a file has, anywhere in it, when it runs."""
    return list(_imports_of(path))


def _imports_of(path: Path) -> Iterator[tuple[int, str]]:
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


def room_of(name: str) -> str:
    """The folder of a module; the modules beside the folders are words, but for `__init__`."""
    room = name.partition(".")[0]
    return room if room in ROOMS else "words"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_rooms(path: Path) -> None:
    """A word imports words, the core words, the shells both, and what is public only the public names."""
    room = room_of(name_of(path))
    assert {room_of(name) for name in own_imports(path)} <= ROOMS[room] | {room}


@pytest.mark.parametrize("path", [path for path in FILES if room_of(name_of(path)) == "words"], ids=name_of)
def test_words(path: Path) -> None:
    """A word imports only words above it."""
    assert own_imports(path) <= set(WORDS[: WORDS.index(name_of(path))])


def test_no_circles() -> None:
    """No file imports, on whatever way, one that imports it."""
    graphlib.TopologicalSorter({name_of(path): own_imports(path) for path in FILES}).prepare()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_too_full(path: Path) -> None:
    """A file has at most 600 lines, in the shells 350, and each line at most 120 characters."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= (MAX_LINES_OF_A_SHELL if room_of(name_of(path)) == "_shells" else MAX_LINES)
    assert max(map(len, lines), default=0) <= 120


@pytest.mark.parametrize("path", [path for path in FILES if room_of(name_of(path)) in ("words", "_core")], ids=name_of)
def test_no_io_in_words_and_decisions(path: Path) -> None:
    """Words and the core know no HTTP client, no socket, no thread, no clock and no chance."""
    assert not foreign_imports(path) & IMPURE


def test_only_the_shells_act() -> None:
    """HTTP clients, event loops and threads are known to the shells, the drop-in, the tests' tools and the command."""
    users = {room_of(name_of(path)) for path in FILES if foreign_imports(path) & {"httpx", "anyio", "threading"}}
    assert users - {"httpx_sse", "testing", "cli"} == {"_shells"}


def test_who_knows_pydantic() -> None:
    """What an event means to the user is known to `_typed` alone; below it, an event is a plain record."""
    users = {name_of(path) for path in FILES if "pydantic" in foreign_imports(path)}
    assert {name for name in users if not name.startswith("testing.")} == {"_typed"}


def test_who_knows_opentelemetry() -> None:
    """OpenTelemetry is known to `otel` alone: the rest tells an observer, whoever that is."""
    users = {room_of(name_of(path)) for path in FILES if "opentelemetry" in foreign_imports(path)}
    assert users == {"otel"}


def test_no_optional_dependency_is_imported() -> None:
    """What is optional is never imported by name: it is found from what the user brings."""
    assert not {
        name_of(path) for path in FILES if foreign_imports(path) & {"httpx2", "httpx_aiohttp", "trio", "h2", "pytest"}
    }


@pytest.mark.parametrize("extra", ["dialects", "httpx_sse", "otel", "testing", "cli"])
def test_no_module_imports_an_extra(extra: str) -> None:
    """An extra is imported by its users, by itself and by the command, never by the rest of the package."""
    assert {room_of(name_of(path)) for path in FILES if extra in map(room_of, own_imports(path))} <= {extra, "cli"}


def test_all_is_what_is_public() -> None:
    """`__all__` names all that is public, and nothing else."""
    submodules = {path.stem for path in PACKAGE.iterdir()}
    public = {
        name
        for name, value in vars(sse_client).items()
        # pytest adds names with an @ to the modules of a plugin's distribution, if it rewrites their assertions.
        if not name.startswith(("_", "@")) and not (isinstance(value, ModuleType) and name in submodules)
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


def modules_after(*imports: str) -> list[set[str]]:
    """The names of all modules after each of these imports, in a new interpreter."""
    code = "import sys\n" + "\n".join(f"import {name}; print(*sys.modules)" for name in imports)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent, timeout=30
    )
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_an_import_brings_nothing_optional() -> None:
    """Importing it imports no second HTTP client, no second event loop, nothing for tests, and of pydantic no model."""
    before, after = modules_after("httpx", "sse_client")  # httpx has a command too, and imports rich for it
    imported = after - before | {name.partition(".")[0] for name in after - before}
    assert not imported & {"aiohttp", "httpx2", "trio", "pytest", "h2", "hypothesis", "opentelemetry", "pydantic.main"}
    assert not imported & {"sse_client_cli", "rich", "argparse"}
    assert not imported & {f"sse_client.{name}" for name in ("cli", "dialects", "httpx_sse", "otel", "testing")}


def test_what_importing_the_dialects_costs() -> None:
    """Importing the dialects after the package imports their own modules and no others: it takes a few milliseconds."""
    before, after = modules_after("sse_client", "sse_client.dialects")
    files = {f"sse_client.{name_of(path)}" for path in (PACKAGE / "dialects").glob("_[a-z]*.py")}
    assert {name for name in after - before if name.startswith("sse_client")} == {"sse_client.dialects", *files}
    assert not {name for name in after - before if not name.startswith("sse_client")}


def test_typed() -> None:
    """The package says that it is typed (PEP 561)."""
    assert (PACKAGE / "py.typed").exists()
