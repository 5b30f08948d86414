"""The page of the command: its examples run in a shell, and print what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command import ROOT

import sse_client_cli
from sse_client.cli._reading import DIALECTS
from sse_client.testing import Answer, EventServer

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")

CHAT = Answer(
    'id: 1\ndata: {"type": "text", "content": "Hel"}\n\n',
    'id: 2\ndata: {"type": "text", "content": "lo"}\n\n',
    'id: 3\ndata: {"type": "done"}\n\n',
)


def blocks() -> list[Any]:
    """Each shell block and the text after it, by their order."""
    found = re.findall(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(found) == PAGE.count("```sh\n")
    return [pytest.param(*each, id=str(number)) for number, each in enumerate(found, start=1)]


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
@pytest.mark.parametrize(("script", "expected"), blocks())
def test_examples(script: str, expected: str, tmp_path: Path) -> None:
    """Each example prints what the page says, apart from times."""
    program = tmp_path / "sse-client"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}:$PYTHONPATH" exec "{sys.executable}" -m sse_client_cli "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    with EventServer(CHAT) as server:
        command = ["sh", "-c", script.replace(":8000", f":{server.port}")]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
    assert re.sub(r'"t": [0-9.]+', '"t": 0.000', done.stdout).strip() == expected.strip()


def test_exit_codes_of_the_page() -> None:
    """The page and the help list the same exit codes."""
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    listed = re.findall(r"(?:exit|  )\s+(\d+) [a-zA-Z]", sse_client_cli.EXITS_HELP)
    assert [code for code, _ in rows] == listed


def test_dialects_of_the_page() -> None:
    """The page names each dialect."""
    text = " ".join(PAGE.split())
    assert ", ".join(sorted(DIALECTS)) in text


def test_commands_of_the_page() -> None:
    """The page has each command."""
    for name in sse_client_cli.COMMANDS:
        assert f"| `sse-client {name} " in PAGE
