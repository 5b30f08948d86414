"""Each example runs as it stands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples"
QUICKSTART = FOLDER / "quickstart.py"
EXAMPLES = sorted({*FOLDER.glob("*.py")} - {QUICKSTART})  # which has a test of its own

# Output of each example of a dialect that depends on its streams being complete and unchanged.
PRINTED = {
    "agent": r"^Let me look\. \[price\(\{\"product\": \"oat milk\"\}\) = 2\]\n \[price.* = 7\]\n"
    r"Together they cost 9 euros\. \(stop after 2 requests\)\n$",
    "chat": r"^(\w+ \(scripted\)\n(> .*\nThis is question \d of a chat that began with 'Does it stream\?'\.\n){3}){3}$",
    "mcp_tool": r"(index: \d of 3\n){3}index: 3 pages are in the index\nstop \{'pages': 3\}\nPOST GET\n$",
    "own_reader": r"^(.*)\nended well: True\n\1\ncut, after 'as cut\.'\n$",
    "structured_output": r"^title: Panc\n(.*\n)*steps: \['Mix the flour'\]\n(.*\n)*Recipe\(title='Pancakes', ",
}


def run(path: Path) -> str:
    """Run an example without any provider's keys; return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")}
    done = subprocess.run(
        [sys.executable, "-W", "error", path],
        capture_output=True,
        encoding="utf-8",
        env=environment | {"PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(path: Path) -> None:
    """An example exits cleanly, prints something, and causes no warning."""
    assert run(path).strip()


def test_quickstart_shows_what_happens() -> None:
    """The quickstart causes no warning, prints the whole reply twice, then a cut one and its error."""
    output = run(QUICKSTART)
    assert output.count("Events arrive one by one, while the server is still writing.") == 2
    assert "StreamTruncated: the stream ended after 5 events, before its terminator" in output


def test_all_dialects_are_here() -> None:
    """Each example of a dialect is tested here."""
    assert {path.stem for path in (FOLDER / "dialects").glob("[a-z]*.py")} == set(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_dialect_runs(name: str) -> None:
    """An example of a dialect exits cleanly, causes no warning, and prints the expected results."""
    output = run(FOLDER / "dialects" / f"{name}.py")
    assert re.search(PRINTED[name], output), output
