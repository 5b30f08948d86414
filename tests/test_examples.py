"""Each example runs as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(path: Path) -> None:
    """An example ends well by itself, prints something, and warns of nothing."""
    run = subprocess.run([sys.executable, "-W", "error", path], capture_output=True, text=True, timeout=30, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.strip()


def test_quickstart_shows_what_happens() -> None:
    """The quickstart prints the whole reply twice, then a cut one and its error."""
    quickstart = EXAMPLES[0].with_name("quickstart.py")
    output = subprocess.run([sys.executable, quickstart], capture_output=True, text=True, timeout=30, check=True).stdout
    assert output.count("Events arrive one by one, while the server is still writing.") == 2
    assert "StreamTruncated: the stream ended after 5 events, before its terminator" in output
