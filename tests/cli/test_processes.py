"""The command as a process: pipes and signals."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import COMMAND, run, start

from sse_client.testing import Answer, EventServer, Pause

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")

ENDLESS = Answer('event: token\ndata: {"t": "Hel"}\n\n', Pause(30))


def test_head_ends_quietly() -> None:
    """If the reader of the pipe leaves, the server sees the close within a second, though it sends nothing more."""
    with EventServer(ENDLESS) as server:
        process = start("get", server.url)
        assert process.stdout is not None
        assert process.stderr is not None
        with process.stdout:
            assert json.loads(process.stdout.readline())["data"] == {"t": "Hel"}
        assert server.requests[0].done.wait(1.0)
        assert not server.requests[0].responded
        with process.stderr:
            assert process.stderr.read() == b""
        assert process.wait(10) == 141
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("output", ["--jsonl", "--raw"])
def test_a_closed_pipe_is_found_by_a_write(output: str) -> None:
    """`parse | head -1` of a long input exits 141 too."""
    process = start("parse", "-", output)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout:
        process.stdin.write(b"data: 1\n\n")
        process.stdin.flush()
        assert process.stdout.readline()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(b"data: 2\n\n" * 10)
        process.stdin.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait(10) == 141


def test_bytes_are_in_the_pipe_at_once() -> None:
    """A reader gets the bytes of `--raw` while the server still writes."""
    with EventServer(ENDLESS) as server, ended(start("get", server.url, "--raw")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"event: token\n"


def test_a_pipe_into_another_program() -> None:
    """`| jq` shows each event while the server still writes: here it waits for the line before it writes the next."""
    first_is_read = threading.Event()
    answer = Answer('data: {"n": 1}\n\n', lambda: first_is_read.wait(30), 'data: {"n": 2}\n\n')
    code = "import json, sys\nfor line in sys.stdin: print(json.loads(line)['data']['n'], flush=True)"
    jq = ["jq", "--unbuffered", ".data.n"] if shutil.which("jq") else [sys.executable, "-c", code]
    with (
        EventServer(answer) as server,
        ended(start("get", server.url)) as process,
        ended(subprocess.Popen(jq, stdin=process.stdout, stdout=subprocess.PIPE)) as other,
    ):
        assert other.stdout is not None
        assert other.stdout.readline() == b"1\n"
        first_is_read.set()
        assert other.stdout.read() == b"2\n"
        assert (other.wait(10), process.wait(10)) == (0, 0)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_closed_streams(closed: str) -> None:
    """A standard stream that is closed from the start is an empty one, and does not change the exit code."""
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND]
    with ended(start("parse", "/dev/null", command=shell)) as process:
        assert process.communicate(timeout=30) == (b"", b"")
        assert process.returncode == 0


@contextlib.contextmanager
def ended(process: "subprocess.Popen[bytes]") -> "Iterator[subprocess.Popen[bytes]]":
    """End the process, and close its pipes."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_ctrl_c() -> None:
    """Ctrl-C exits 130 with nothing on standard error, and closes the connection."""
    with EventServer(ENDLESS) as server, ended(start(server.url)) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert server.requests[0].done.wait(5.0)
        assert process.wait(10) == 130
        assert process.stderr.read() == b""


def test_module() -> None:
    """`python -m sse_client` is the same command, and reads standard input."""
    with ended(start("parse", "--data", command=[sys.executable, "-m", "sse_client"])) as process:
        assert process.communicate(b"data: 1\n\n", timeout=30) == (b"1\n", b"")
        assert process.returncode == 0


def test_serve(tmp_path: Path) -> None:
    """`replay --serve` serves a recording on loopback, over and over, until Ctrl-C."""
    cassette = str(tmp_path / "cassette.jsonl")
    run("parse", "--record", cassette, stdin=b"data: 1\n\ndata: 2\n\n")
    with ended(start("replay", cassette, "--serve", ":0")) as process:
        assert process.stderr is not None
        note = process.stderr.readline().decode()
        found = re.search(r"http://127\.0\.0\.1:\d+", note)
        assert found, note
        for _ in range(2):
            assert run("get", found[0], "-q", "k=c4n4ry", "--data").out == b"1\n2\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert b"c4n4ry" not in process.stderr.read()
