"""The README is right: its Python blocks run as they stand, against a server that answers as they expect."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from sse_client.testing import Answer, EventServer

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = [
    pytest.param(match[1], id=f"line {README.count(chr(10), 0, match.start()) + 2}")
    for match in re.finditer(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
]

CHAT = Answer('data: {"type": "text", "content": "Hello"}\n\n', 'data: {"type": "done"}\n\n')


@pytest.mark.parametrize("code", BLOCKS)
def test_block_runs(code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each Python block of the README runs as it stands; a `main` that it defines is run too, and so are its tests."""
    if "def test_" in code:
        (tmp_path / "test_block.py").write_text(code, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_sse_client", "-p", "no:cacheprovider", "."]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout
        assert "3 passed" in done.stdout
        return
    with EventServer(CHAT) as server:
        namespace: dict[str, Any] = {}
        exec(code.replace("http://localhost:8000", server.url), namespace)
        main = namespace.get("main")
        if inspect.iscoroutinefunction(main):
            anyio.run(main)
        if "localhost" in code:
            assert "Hello" in capsys.readouterr().out
            assert server.requests


def test_two_commands() -> None:
    """The first two shell blocks are one line each: they run the quickstart and the tests."""
    quickstart, tests = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)[:2]
    assert quickstart.count("\n") == tests.count("\n") == 1
    assert quickstart.rstrip().endswith("examples/quickstart.py")
    assert tests.rstrip().endswith("pytest")


def test_links_within_the_repository() -> None:
    """What the README points at is there: each promise has its test."""
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
