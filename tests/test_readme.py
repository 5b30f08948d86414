"""The README and the pages in `docs/`: their Python blocks run as they stand, and their links exist."""

import inspect
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from sse_client import _core
from sse_client.testing import Answer, EventServer, RecordedRequest

ROOT = Path(__file__).parents[1]

# The replies of the examples serve the pages too.
sys.path.insert(0, str(ROOT / "examples" / "dialects"))
import _scripted  # noqa: E402

README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
LINKING = [*PAGES, ROOT / "CHANGELOG.md", *sorted((ROOT / ".github").glob("*.md"))]

# The sdist, whose tests these are too, is without them.
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LEFT_OUT = [ROOT / path.lstrip("/") for path in SETTINGS["tool"]["hatch"]["build"]["targets"]["sdist"]["exclude"]]

CHAT = Answer('data: {"type": "text", "content": "Hello"}\n\n', 'data: {"type": "done"}\n\n')
WATSONX = {"results": [{"generated_text": "Hello", "stop_reason": "eos_token"}]}


def server(request: RecordedRequest) -> Answer:
    """Answer in the protocol of the request's path; say Hello."""
    match request.target:
        case "/v1/chat/completions":
            is_structured = "response_format" in request.json()
            return Answer(
                *_scripted.openai('{"title": "Hello", "steps": ["Mix", "Fry"]}' if is_structured else "Hello")
            )
        case "/v1/messages":
            body = request.json()
            if "tools" in body and len(body["messages"]) == 1:
                call = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}}
                return Answer(*_scripted.anthropic(call, stop_reason="tool_use"))
            return Answer(*_scripted.anthropic({"type": "text", "text": "Hello"}))
        case "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse":
            return Answer(*_scripted.gemini("Hello"))
        case "/ml/v1/text/generation_stream":
            return Answer(_scripted.event(WATSONX))
        case _:
            return CHAT


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def python_blocks() -> Iterator[Any]:
    """The Python blocks of all pages, by page and line."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            line = text.count("\n", 0, match.start()) + 2
            yield pytest.param(match[1], id=f"{name_of(page)}:{line}")


@pytest.mark.parametrize("code", [*python_blocks()])
def test_block_runs(code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each Python block runs as it stands. If it defines a `main` or tests, they run too."""
    if "sse_client.otel" in code:
        pytest.importorskip("opentelemetry.sdk")  # an extra
    if "def test_" in code:
        (tmp_path / "test_block.py").write_text(code, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_sse_client", "-p", "no:cacheprovider", "."]
        # Without the plugins that happen to be installed: they take most of the time.
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout
        assert " passed" in done.stdout
        return
    with EventServer(server) as running:
        namespace: dict[str, Any] = {}
        exec(code.replace("http://localhost:8000", running.url), namespace)
        main = namespace.get("main")
        if inspect.iscoroutinefunction(main):
            anyio.run(main)
        if "localhost" in code:
            assert "Hello" in capsys.readouterr().out
            assert running.requests


def test_length() -> None:
    """The README is short: 200 lines at most."""
    assert README.read_text(encoding="utf-8").count("\n") <= 200


def test_two_commands() -> None:
    """The first two shell blocks are one line each: they run the quickstart and the tests."""
    text = README.read_text(encoding="utf-8")
    quickstart, tests = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)[:2]
    assert quickstart.count("\n") == tests.count("\n") == 1
    assert quickstart.rstrip().endswith("examples/quickstart.py")
    assert tests.rstrip().endswith("pytest")


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", LINKING, ids=name_of)
def test_links_within_the_repository(page: Path) -> None:
    """Each relative link leads to a file that exists, and to a heading in it."""
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))  # `Cursor[int](…)` is not a link
    for path, anchor in re.findall(r"\]\((?!https?://)([^)#]*)#?([^)]*)\)", text):
        target = (page.parent / path).resolve() if path else page
        is_left_out = any(target.is_relative_to(folder) and not folder.exists() for folder in LEFT_OUT)
        assert target.exists() or is_left_out, path
        assert not anchor or anchor in anchors_of(target), f"{path}#{anchor}"


def test_all_pages_are_found() -> None:
    """Each page in `docs/` can be reached from the README by links."""
    found, waiting = {README}, [README]
    while waiting:
        page = waiting.pop()
        for path in re.findall(r"\]\((?!https?://)([^)#]+\.md)", page.read_text(encoding="utf-8")):
            target = (page.parent / path).resolve()
            if target not in found:
                found.add(target)
                waiting.append(target)
    assert set(PAGES) <= found


def test_tree_of_the_architecture() -> None:
    """The tree of the architecture page names every module of the package, the core, the shells and the command."""
    tree = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[3]
    package = ROOT / "sse_client"
    modules = {path.stem for folder in (".", "_core", "_shells", "cli") for path in (package / folder).glob("*.py")}
    assert modules - set(re.findall(r"\w+", tree)) == set()


def test_phases_of_the_architecture() -> None:
    """The diagram of phases is the one at the head of the core."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    diagram = page.split("## The phases of a stream")[1].split("```")[1]
    assert textwrap.indent(diagram.strip(), "    ") in (_core.__doc__ or "")
