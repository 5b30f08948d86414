"""The command as a process: pipes, signals, terminals."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import WITHOUT_RICH, run, start

from sse_client.testing import FIN, Answer, EventServer, Pause

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes, signals and terminals of POSIX")

ENDLESS = Answer('event: token\ndata: {"t": "Hel"}\n\n', Pause(30))
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
COLOURS = re.compile(rb"\x1b\[[0-9;]*(?:3[0-7]|9[0-7])m")


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


def test_each_line_is_in_the_pipe_at_once() -> None:
    """A reader gets each line while the server still writes, and bytes of `--raw` as they came."""
    for output, line in (("--data", b'{"t": "Hel"}\n'), ("--raw", b"event: token\n")):
        with EventServer(ENDLESS) as server, ended(start("get", server.url, output)) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == line


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


@pytest.mark.parametrize("colour", ["colour", "NO_COLOR"])
@pytest.mark.parametrize("rich", ["rich", "without rich"])
def test_a_terminal(rich: str, colour: str) -> None:
    """A terminal gets pretty lines; coloured if rich is installed and `NO_COLOR` is not set."""
    command = [sys.executable, "-m", "sse_client_cli"]
    if rich == "rich":
        pytest.importorskip("rich")
    else:
        command = [sys.executable, "-c", WITHOUT_RICH]
    answer = Answer('event: to[b]ken\nid: 3\ndata: {"t": "Hel\\u001b"}\n\n', "data: a\x9b\x1b\n\n")
    with EventServer(answer) as server:
        environment = {"TERM": "xterm-256color", "NO_COLOR": "1" if colour == "NO_COLOR" else ""}
        code, output = on_a_terminal("get", server.url, command=command, env=environment)
    text = ESCAPES.sub(b"", output)
    assert code == 0
    assert b' to[b]ken #3 {"t": "Hel\\u001b"}\r\n' in text
    assert b" message #3 a\\x9b\\x1b\r\n" in text
    assert bool(COLOURS.search(output)) == (rich == "rich" and colour == "colour")
    assert b"\x1b" not in text


def test_notes_and_the_status_line() -> None:
    """A note on the same terminal stands on a line of its own, whatever rich draws there."""
    with EventServer(Answer("data: 1\n\n", Pause(0.2), FIN)) as server:
        code, output = on_a_terminal("post", server.url, "-d", "x", "-v", env={"TERM": "xterm-256color"})
    assert code == 7
    lines = [line.split(b"\r")[-1] for line in ESCAPES.sub(b"", output).replace(b"\r\n", b"\n").split(b"\n")]
    assert b"< HTTP/1.1 200 OK" in lines
    assert any(line.startswith(b"sse-client: ") for line in lines)


def test_ctrl_c_on_a_terminal() -> None:
    """Ctrl-C on a terminal exits 130 and leaves the cursor visible."""
    with EventServer(ENDLESS) as server:
        code, output = on_a_terminal("get", server.url, env={"TERM": "xterm-256color"}, interrupted_by=b"Hel")
        assert server.requests[0].done.wait(5.0)
    assert code == 130
    assert output.count(b"\x1b[?25l") == output.count(b"\x1b[?25h")


def on_a_terminal(
    *arguments: str,
    env: dict[str, str],
    command: list[str] | None = None,
    interrupted_by: bytes | None = None,
) -> tuple[int, bytes]:
    """Run the command on a pseudo-terminal; return its exit code and all that the terminal got."""
    import pty

    ours, theirs = pty.openpty()
    options = {} if command is None else {"command": command}
    process = start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True, **options)
    os.close(theirs)
    output = b""
    deadline = time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1.0)[0]:
                continue
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # Linux: the other side is closed
                break
            if not piece:
                break
            output += piece
            if interrupted_by is not None and interrupted_by in output:
                process.send_signal(signal.SIGINT)
                interrupted_by = None
        return process.wait(10), output
    finally:
        process.kill()
        os.close(ours)
