"""The command on a pseudo-terminal: colours, the status line, the size of the window, Ctrl-C, passwords."""

import os
import re
import signal
import sys

import pytest
from command import COMMAND, WITHOUT_RICH, run

from sse_client.testing import FIN, Answer, EventServer, Pause

if os.name != "posix":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)

from terminal import PseudoTerminal, screen

PLAIN = [sys.executable, "-c", WITHOUT_RICH]
COLOURS = re.compile(rb"\x1b\[[0-9;]*(?:3[0-7]|9[0-7])m")
EVENT = b"Hel"
ENDLESS = Answer('event: token\ndata: {"t": "Hel"}\n\n', Pause(30))
EVIL = bytes(code for code in range(32) if code not in b"\t\n\r") + b"\x7f\xc2\x9b\xe2\x80\xae"

SETTINGS = [
    pytest.param(True, {}, True, id="rich"),
    pytest.param(True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, id="rich, NO_COLOR"),
    pytest.param(True, {"TERM": "dumb"}, False, id="rich, a dumb terminal"),
    pytest.param(False, {"FORCE_COLOR": "1"}, False, id="without rich"),
]


@pytest.mark.parametrize(("has_rich", "env", "is_coloured"), SETTINGS)
def test_colours(has_rich: bool, env: dict[str, str], is_coloured: bool) -> None:
    """The lines are the same with rich and without; it adds colours, unless `NO_COLOR` or the terminal forbids them."""
    if has_rich:
        pytest.importorskip("rich")
    answer = Answer('event: to[b]ken\nid: 3\ndata: {"t": "Hel\\u001b"}\n\n', b"data: a" + EVIL + b"\n\n: [red]\n\n")
    program = COMMAND if has_rich else PLAIN
    with (
        EventServer(answer) as server,
        PseudoTerminal("get", server.url, "--comments", columns=300, env=env, command=program) as terminal,
    ):
        assert terminal.finish() == 0
    first, second, third = filter(None, screen(terminal.output, 300))
    assert re.fullmatch(r'\+0\.\d{3} to\[b\]ken #3 \{"t": "Hel\\u001b"\}', first)
    assert second.partition(" message #3 ")[2] == "a" + "".join(
        f"\\x{ord(each):02x}" if ord(each) < 256 else f"\\u{ord(each):04x}" for each in EVIL.decode()
    ), second
    assert third.endswith(" : [red]")
    assert bool(COLOURS.search(terminal.output)) == is_coloured
    assert not {*EVIL[:-6]} - {0x1B} & {*terminal.output}


@pytest.mark.parametrize("has_rich", [pytest.param(True, id="rich"), pytest.param(False, id="without rich")])
def test_the_head_of_a_response(has_rich: bool) -> None:
    """A header with control characters is shown with escapes, also if a status line is there."""
    if has_rich:
        pytest.importorskip("rich")
    answer = Answer(b"data: 1\n\n", headers={"X-Evil": "a\x1b[2Jb\x9b"})
    program = COMMAND if has_rich else PLAIN
    with (
        EventServer(answer) as server,
        PseudoTerminal("get", server.url, "-i", "-v", columns=300, command=program) as terminal,
    ):
        assert terminal.finish() == 0
    assert rb"a\x1b[2Jb\x9b" in terminal.output
    assert b"\x1b[2J" not in terminal.output
    assert b"\xc2\x9b" not in terminal.output


def test_colours_in_a_pipe() -> None:
    """`FORCE_COLOR` colours `--pretty` in a pipe, where there is no status line; without it a pipe has no colours."""
    pytest.importorskip("rich")
    stream = b"data: 1\n\n"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("NO_COLOR", raising=False)
        patch.setenv("TERM", "xterm-256color")
        assert b"\x1b" not in run("parse", "--pretty", stdin=stream).out
        patch.setenv("FORCE_COLOR", "1")
        forced = run("parse", "--pretty", stdin=stream).out
    assert COLOURS.search(forced)
    assert b"\x1b[?25l" not in forced
    assert b"\r" not in forced


def test_the_status_line_and_the_size_of_the_window() -> None:
    """While it waits, a line says for how long; it fits into the window, also after that has shrunk, and then goes."""
    pytest.importorskip("rich")
    answer = Answer("data: first\n\n", Pause(30))
    with EventServer(answer) as server, PseudoTerminal("get", server.url, columns=60) as terminal:
        terminal.read_until(rb"1 event, waiting for \d+\.\d s")
        terminal.resize(20)
        seen = len(terminal.output)
        terminal.read_until(rb"1 event, waiti.*(?s:.)*1 event, waiti", after=seen)
        narrow = terminal.output[seen:].rpartition(b"\r")[0].partition(b"\r")[2]
        assert b"\n" not in narrow
        assert max(len(line) for line in screen(narrow, 1000)) <= 20
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.finish() == 130
        assert terminal.output.count(b"\x1b[?25l") == terminal.output.count(b"\x1b[?25h")
        assert server.requests[0].done.wait(5.0)


def test_notes_and_the_status_line() -> None:
    """Notes on the same terminal stand on lines of their own, and nothing is left of the status line."""
    with (
        EventServer(Answer("data: 1\n\n", Pause(0.1), FIN)) as server,
        PseudoTerminal("post", server.url, "-d", "x", "-v") as terminal,
    ):
        assert terminal.finish() == 7
    lines = screen(terminal.output)
    assert lines[0].startswith("> POST http://127.0.0.1")
    assert "< HTTP/1.1 200 OK" in lines
    event = next(number for number, line in enumerate(lines) if line.endswith(" message 1"))
    assert lines[event + 1].startswith("sse-client: the connection was lost after 1 event")


def test_ctrl_c_without_rich() -> None:
    """Ctrl-C on a terminal exits 130, and the server sees the close, without rich too."""
    with EventServer(ENDLESS) as server, PseudoTerminal("get", server.url, command=PLAIN) as terminal:
        terminal.read_until(EVENT)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.finish() == 130
        assert server.requests[0].done.wait(5.0)
    assert screen(terminal.output)[1:] == [""]


def test_a_password() -> None:
    """The password is asked for on the terminal, and what is typed does not appear there."""
    with EventServer(Answer("data: 1\n\n")) as server:
        with PseudoTerminal("get", server.url, "-u", "me", "--data") as terminal:
            terminal.read_until(b"Password: ")
            terminal.type("y0u\n")
            assert terminal.finish() == 0
        assert server.requests[0].headers["authorization"] == "Basic bWU6eTB1"
    assert b"y0u" not in terminal.output


def test_doctor_is_alive() -> None:
    """While doctor reads, a line says for how long; nothing is left of it in the report."""
    pytest.importorskip("rich")
    with EventServer(ENDLESS) as server, PseudoTerminal("doctor", server.url, columns=120) as terminal:
        terminal.read_until(rb"reading for \d+\.\d s")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.finish() == 130
    lines = screen(terminal.output, 120)
    assert [line for line in lines if line.startswith("ok    status")]
    assert not [line for line in lines if "reading for" in line and "at most" not in line]
