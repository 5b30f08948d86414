"""Each application runs as it stands."""

import os
import re
import subprocess
import sys

import pytest

from apps import APPS

# Output of each application that depends on its streams being complete, without repeats and in order.
PRINTED = {
    "agenthub": r"drawn once\. \ncompleted: 69 characters, 17 events, 2 attempts\n(.|\n)*\n"
    r"cancelled: \d+ events, and the server is busy with 0 conversations\n$",
    "printer_ai": r"^c1/m1: 28 characters\ncomplete: 'Print  two  copies,  please\.'\n"
    r"streaming: the stream ended after \d events, before its terminator\n.*text='There will be a jam'",
    "rag_chat": r"^cancelled: \d+ words\n.*'And what is in this one\? '.*quality=0\.0.*ending='complete'",
    "theo": r"(24 events over 5 connections, to msg-24)\nA READER THAT WAS CUT OFF RECONNECTS AND MISSES NOTHING\n$",
    "wisqu": r"sync: m1, 31 characters, 5 words\n(.|\n)*fallback: m1, (.|\n)*async: m1, 14 characters, 3 words\n$",
}


def test_all_are_here() -> None:
    """Each application is tested here."""
    assert {path.stem for path in APPS.glob("[a-z]*.py")} == set(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_runs(name: str) -> None:
    """An application exits cleanly, causes no warning, and prints the expected results."""
    run = subprocess.run(
        [sys.executable, "-W", "error", APPS / f"{name}.py"],
        capture_output=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": str(APPS.parents[1]), "PYTHONIOENCODING": "utf-8"},
        timeout=40,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert re.search(PRINTED[name], run.stdout), run.stdout
