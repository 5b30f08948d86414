"""
The fixtures, as in a user's own test run: pytest runs a file of tests in its own process.

It does so twice: with the plugin loaded by the entry point if the package is installed, and with `-p` otherwise.
"""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import pytest_sse_client

ROOT = Path(pytest_sse_client.__file__).parent
CASSETTE = """\
{"time": 0, "request": "POST", "url": "https://api.example.org/chat", "headers": []}
{"time": 1, "response": 200, "headers": [["Content-Type", "text/event-stream"]]}
{"time": 2, "data": "data: 1\\n\\ndata: 2\\n\\n"}
{"time": 9999, "end": true}
"""
TESTS = """\
import socket

import httpx
import pytest

from sse_client import SSEClient, StreamInterrupted, StreamTimeout
from sse_client.testing import Answer, EventServer, Faults, ScriptedTransport

EVENT = "data: 1\\n\\n"
URL = "https://api.example.org/chat"
ports = []

def read(url, transport=None, **options):
    with httpx.Client(transport=transport) as http, SSEClient(http_client=http) as client:
        with client.post(url, **options) as stream:
            return [event.data for event in stream]

def test_server(sse_server):
    one, other = sse_server(Answer(EVENT)), sse_server(Answer(EVENT), Answer(status=404))
    assert isinstance(one, EventServer)
    ports.extend([one.port, other.port])
    assert read(one.url) == read(other.url) == ["1"]
    assert len(other.requests) == 1

def test_servers_are_closed():
    assert len(ports) == 2
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)

def test_server_options(sse_server):
    with pytest.raises(TypeError):
        sse_server(Answer(EVENT), host="::1")

def fails(request):
    raise ZeroDivisionError("of the script")

def test_script_that_raises(sse_server):
    with pytest.raises(httpx.TransportError):
        httpx.get(sse_server(fails).url)

def test_transport(sse_transport):
    transport = sse_transport(Answer(EVENT))
    assert isinstance(transport, ScriptedTransport)
    assert read(URL, transport) == ["1"]

def test_cassette(sse_cassette):
    transport = sse_cassette("chat.jsonl")
    assert read(URL, transport, timeout=100) == ["1", "2"]

def test_cassettes(sse_cassette):
    transport = sse_cassette("chat.jsonl", "second.jsonl")
    with httpx.Client(transport=transport) as http, SSEClient(http_client=http) as client:
        assert [event.data for event in client.post(URL)] == ["1", "2"]
        assert [event.data for event in client.post(URL)] == ["3"]
    assert isinstance(sse_cassette("chat.jsonl", "second.jsonl", faults=Faults(cut="bytes")), ScriptedTransport)

def test_cassette_with_its_pauses(sse_cassette):
    with pytest.raises(StreamTimeout):
        read(URL, sse_cassette("chat.jsonl", speed=2), timeout=1000)

def test_cassette_with_faults(sse_cassette):
    with pytest.raises(StreamInterrupted, match="after 1 event"):
        read(URL, sse_cassette("chat.jsonl", faults=Faults(after_events=1)))

def test_cassette_that_is_not_there(sse_cassette):
    sse_cassette("other.jsonl")

def test_cassette_that_is_none(sse_cassette):
    sse_cassette("broken.jsonl")
"""
NOTHING = """\
import sys

def test_nothing_is_imported():
    assert "sse_client" not in sys.modules
"""
WAYS: dict[str, tuple[list[str], dict[str, str]]] = {
    "installed": ([], {}),
    "by name": (["-p", "pytest_sse_client"], {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
}


def run(folder: Path, file: str, text: str, way: str) -> tuple[dict[str, str], str]:
    """Run a file of tests; return how each has ended, and pytest's output."""
    (folder / file).write_text(text)
    options, environment = WAYS[way]
    if way == "installed" and not entry_points(group="pytest11", name="pytest_sse_client"):
        pytest.skip("the package is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", file, "-v", "-W", "error", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )
    return dict(re.findall(r"^\S+::(\w+) (PASSED|FAILED|ERROR)", done.stdout, re.MULTILINE)), done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_fixtures(tmp_path: Path, way: str) -> None:
    """The fixtures work, close everything that they opened, and report errors, however the plugin was loaded."""
    (tmp_path / "cassettes").mkdir()
    (tmp_path / "cassettes" / "chat.jsonl").write_text(CASSETTE)
    (tmp_path / "cassettes" / "second.jsonl").write_text(CASSETTE.replace("data: 1\\n\\ndata: 2", "data: 3"))
    (tmp_path / "cassettes" / "broken.jsonl").write_text("data: 1\n")
    endings, said = run(tmp_path, "test_chat.py", TESTS, way)
    assert endings == {
        "test_server": "PASSED",
        "test_servers_are_closed": "PASSED",
        "test_server_options": "PASSED",
        "test_script_that_raises": "ERROR",
        "test_transport": "PASSED",
        "test_cassette": "PASSED",
        "test_cassettes": "PASSED",
        "test_cassette_with_its_pauses": "PASSED",
        "test_cassette_with_faults": "PASSED",
        "test_cassette_that_is_not_there": "FAILED",
        "test_cassette_that_is_none": "FAILED",
    }, said
    assert "ZeroDivisionError: of the script" in said
    missing = tmp_path / "cassettes" / "other.jsonl"
    assert f"Failed: there is no cassette {missing}: record one with sse_client.testing.record(stream, path)" in said
    assert (
        f"{tmp_path / 'cassettes' / 'broken.jsonl'}, line 1: expected an entry of a cassette, got: Invalid JSON" in said
    )


def test_nothing_is_imported(tmp_path: Path) -> None:
    """A test run that uses no fixture does not import the package."""
    endings, said = run(tmp_path, "test_nothing.py", NOTHING, "by name")
    assert endings == {"test_nothing_is_imported": "PASSED"}, said


def test_the_module_alone() -> None:
    """Importing the plugin imports pytest, but neither our package nor an HTTP client."""
    code = "import sys, pytest_sse_client; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=30
    )
    assert "pytest" in done.stdout.split()
    assert not set(done.stdout.split()) & {"sse_client", "httpx", "httpx2", "httpcore", "anyio", "h11", "pydantic"}
