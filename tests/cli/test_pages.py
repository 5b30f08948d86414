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
from sse_client.testing import Answer, EventServer, Pause, RecordedRequest

PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")

CHAT = Answer(
    'id: 1\ndata: {"type": "text", "content": "Hel"}\n\n',
    'id: 2\ndata: {"type": "text", "content": "lo"}\n\n',
    'id: 3\ndata: {"type": "done"}\n\n',
)

# As it comes through an nginx that holds back the response until its end.
HELD = Answer(
    Pause(2.3),
    "".join(f'id: {number}\ndata: {{"token": "t{number}"}}\n\n' for number in range(41)),
    headers={"Server": "nginx/1.24.0"},
)

# In `"t": 0.412`, and before the `s` of seconds.
TIME = re.compile(r'(?<="t": )[0-9.]+|[0-9.]+(?= s\b)')


def answer(request: RecordedRequest) -> Answer:
    return HELD if request.target == "/held" else CHAT


def blocks() -> list[Any]:
    """Each shell block and the text after it, by their order."""
    found = re.findall(r"^```sh\n(.*?)^```\n\n```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    assert len(found) == PAGE.count("```sh\n")
    return [pytest.param(*each, id=str(number)) for number, each in enumerate(found, start=1)]


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
@pytest.mark.parametrize(("script", "expected"), blocks())
def test_examples(script: str, expected: str, tmp_path: Path) -> None:
    """Each example prints what the page says, apart from times."""
    with EventServer(answer) as server:
        shown = in_a_shell(script.replace(":8000", f":{server.port}"), tmp_path).replace(f":{server.port}", ":8000")
    assert TIME.sub("0", shown).strip() == TIME.sub("0", expected).strip()


@pytest.mark.skipif(os.name != "posix", reason="a shell of POSIX")
def test_example_of_the_readme(tmp_path: Path) -> None:
    """The example in the README runs without a server, and prints the text of a reply."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    [script] = re.findall(r"^```bash\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    assert in_a_shell(script, tmp_path) == "Hello"


def in_a_shell(script: str, folder: Path) -> str:
    """Run a script with `sse-client` on its path; return everything that it prints."""
    program = folder / "sse-client"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}:$PYTHONPATH" exec "{sys.executable}" -m sse_client_cli "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout


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
