"""The arguments: help, mistakes, and how little of it all is imported."""

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import COMMAND, ROOT, run

import sse_client_cli
from sse_client.testing import Answer, EventServer, RecordedRequest

SECRET = "c4n4ry"


@pytest.mark.parametrize("name", sse_client_cli.COMMANDS)
def test_help_fits_a_screen(name: str) -> None:
    """The help of a command has at most 40 lines of 100 characters, and three examples."""
    done = run(name, "--help")
    lines = done.out.decode().splitlines()
    assert done.code == 0
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert len([line for line in lines[lines.index("examples") :] if "sse-client" in line]) == 3


@pytest.mark.parametrize("name", sse_client_cli.COMMANDS)
def test_help_is_complete(name: str) -> None:
    """The help of a command names each of its options, and no other."""
    command = sse_client_cli.COMMANDS[name]
    text = command.help(name).split("examples")[0]
    named = set(re.findall(r"(?<![\w'|-])(?:--[a-z0-9-]+|-[a-zA-Z])\b", text))
    assert named - {"--help"} == {each for names, _ in command.options for each in names} | (named & {"--strict"})


def test_no_arguments() -> None:
    """Without arguments the help is shown, and it names each command."""
    text = run().out.decode()
    assert text == run("--help").out.decode()
    assert all(f"  {name} " in text for name in sse_client_cli.COMMANDS)
    assert len(text.splitlines()) <= 40


def examples(text: str) -> list[str]:
    """The examples of a help, but for the one that serves until Ctrl-C."""
    lines = text.split("examples\n")[1].splitlines()
    return [line.strip() for line in lines if "sse-client " in line and "--serve" not in line]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(line, id=f"{name}-{number}")
        for name, text in [("", sse_client_cli.HELP), *((n, c.help(n)) for n, c in sse_client_cli.COMMANDS.items())]
        for number, line in enumerate(examples(text))
    ],
)
def test_examples_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each example of the help runs against a server of its kind, and shows something."""
    monkeypatch.chdir(tmp_path)
    stream = (
        b'retry: 10\nid: 1\nevent: news\ndata: {"type": "text", "content": "Hello"}\n\n'
        b'id: 2\nevent: bye\ndata: {"type": "done"}\n\n'
    )

    def answer(request: RecordedRequest) -> Answer:
        return Answer(status=204) if request.headers.get("last-event-id") == "2" else Answer(stream)

    Path("body.txt").write_bytes(stream)
    Path("body.json").write_text('{"message": "hi"}')
    with EventServer(answer) as server:
        run("get", server.url, "--record", "events.jsonl")
        words = shlex.split(line.replace(":8000", f":{server.port}"))
        given = stream if words[0] == "curl" else b""
        words = words[words.index("sse-client") + 1 :]
        words = words[: words.index("|")] if "|" in words else words
        done = run(*words, stdin=given)
    assert done.code == 0, done.err
    assert (b"200" if words[0] == "doctor" else b"Hello") in done.out


MISTAKES = {
    "an unknown command": (["pots", "http://h/"], "unknown command 'pots'"),
    "no URL": (["post"], "expected a URL"),
    "two URLs": (["post", "http://h/", SECRET], "one argument besides the options, got 2"),
    "an unknown option": (["get", "http://h/", f"--nope={SECRET}"], "unknown option --nope"),
    "an unknown option, quoted with its value": (["get", "http://h/", f"--nope {SECRET}"], "unknown option --nope"),
    "an unknown short option": (["get", "http://h/", f"-Z{SECRET}"], "unknown option -Z"),
    "a shortened option": (["get", "http://h/", "--time", "3"], "unknown option --time"),
    "no body for a GET": (["get", "http://h/", "--json", "{}"], "unknown option --json"),
    "two outputs": (["get", "http://h/", "--raw", "--text", ".a"], "--raw and --text"),
    "no number": (["get", "http://h/", "--idle", "soon"], "--idle: expected a positive number"),
    "nan": (["get", "http://h/", "--timeout", "nan"], "--timeout: expected a positive number"),
    "no count": (["get", "http://h/", "--count", "-1"], "--count"),
    "two bodies": (["post", "http://h/", "--json", "{}", "-d", SECRET], "expected one body"),
    "a body that is not JSON": (["post", "http://h/", "--json", "{" + SECRET], "not JSON (line 1"),
    "a body from no file": (["post", "http://h/", "-d", "@/nope"], "cannot read /nope"),
    "a form without =": (["post", "http://h/", "-F", SECRET], "-F: expected K=V"),
    "a form from no file": (["post", "http://h/", "-F", "a=@/nope"], "-F: cannot read /nope"),
    "a header without a colon": (["get", "http://h/", "-H", SECRET], "-H: expected 'K: V'"),
    "a header of two lines": (["get", "http://h/", "-H", f"a: b\r\nc: {SECRET}"], "on one line"),
    "a header with a strange name": (["get", "http://h/", "-H", f"X({SECRET}): a"], "-H: the header name"),
    "a header that is counted": (
        ["post", "http://h/", "-d", SECRET, "-H", "Content-Length: 1"],
        "leave out Content-Length",
    ),
    "a key's header": (
        ["post", "http://h/", "-d", SECRET, "--idempotency-key", "X Y"],
        "--idempotency-key: the header name",
    ),
    "a token of two lines": (["get", "http://h/", "--bearer-env", "TWO_LINES"], "TWO_LINES has several lines"),
    "a host that cannot be": (["get", f"http://{'x' * 64}.invalid/?{SECRET}"], "the request cannot be sent"),
    "an open bracket": (["get", f"http://[::1/?{SECRET}"], "expected a URL"),
    "a port that is not one": (["get", f":99999/?{SECRET}"], "expected a URL"),
    "NaN": (["post", "http://h/", "--json", "NaN"], "not JSON"),
    "JSON that is not UTF-8": (["post", "http://h/", "--json", "\udcff"], "not JSON in UTF-8"),
    "a query without =": (["get", "http://h/", "-q", SECRET], "-q: expected K=V"),
    "no variable": (["get", "http://h/", "--bearer-env", "NOPE_X"], "no environment variable NOPE_X"),
    "a password without a user": (["get", "http://h/", "--password-env", "HOME"], "needs -u USER"),
    "no dialect": (["get", "http://h/", "--dialect", "klingon"], "expected a2a, ag-ui, anthropic"),
    "a text without a path": (["get", "http://h/", "--text"], "needs --dialect, or a path"),
    "not a path": (["get", "http://h/", "--text", ".a[x].b"], "expected a path"),
    "an empty mark": (["get", "http://h/", "--until", "=x"], "--until: expected NAME"),
    "not a proxy": (["get", "http://h/", "--proxy", "x://y"], "--proxy: expected a URL"),
    "not a certificate": (["get", "http://h/", "--cert", "/nope"], "--cert: cannot use /nope"),
    "a path as URL": (["get", "/etc"], "expected a URL"),
    "another scheme": (["get", f"ftp://u:{SECRET}@h/?k={SECRET}"], ""),
    "no recording": (["replay", "/nope"], "cannot read /nope"),
    "no name of a recording": (["replay"], "expected a RECORDING"),
    "no ID for MCP": (["post", "http://h/", "--json", "{}", "--dialect", "mcp"], "with an id"),
    "no JSON for MCP": (["post", "http://h/", "-d", SECRET, "--dialect", "mcp"], "with an id"),
    "two bodies with curl": (["--from-curl", f"curl http://h/ -d {SECRET}", "-d", "x"], "has a body already"),
    "a body in a GET": (["get", "--from-curl", f"curl http://h/ -d {SECRET}"], "a GET has none"),
    "no file": (["parse", "/nope"], "cannot read /nope"),
    "a record nowhere": (["get", "http://h/", "--record", "/nope/x"], "cannot write /nope/x"),
    "a public server": (["replay", "{cassette}", "--serve", "0.0.0.0:8000"], "on this machine only"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake in the arguments exits 2 with a note that names it, shows no value, and sends nothing."""
    arguments, expected = MISTAKES[name]
    monkeypatch.setenv("TWO_LINES", f"{SECRET}\nb")
    cassette = tmp_path / "cassette.jsonl"
    run("parse", "--record", str(cassette), stdin=b"data: 1\n\n")
    done = run(*(each.replace("{cassette}", str(cassette)) for each in arguments))
    assert (done.code, done.out) == (2, b"")
    assert expected in done.err
    assert SECRET not in done.err


def test_text_and_url() -> None:
    """`--text` takes a path that follows it, and no URL."""
    with EventServer(Answer('data: {"a": ["x", "y"]}\n\n')) as server:
        assert run("--text", ".a[1]", server.url).out == b"y"
        assert run("get", server.url, "--text", ".").out == b'{"a": ["x", "y"]}'


def test_nothing_is_imported_for_help() -> None:
    """`--help` and mistakes import neither the library nor anything slow."""
    code = (
        "import sys, sse_client_cli as c; c.main(['post', '--help']); c.main(['post', '--nope']);"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    assert not {"sse_client", "httpx", "pydantic", "anyio", "rich"} & set(done.stderr.split())


def test_help_is_fast() -> None:
    """The whole process of `sse-client --help` takes at most three times as long as importing argparse."""

    def seconds(*command: str) -> float:
        began_at = time.perf_counter()
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True, timeout=30)
        return time.perf_counter() - began_at

    # The fastest of several: whatever else the machine does only adds to a run.
    runs = [(seconds(*COMMAND, "--help"), seconds(sys.executable, "-c", "import argparse")) for _ in range(5)]
    assert min(ours for ours, _ in runs) <= 3 * min(theirs for _, theirs in runs)


def test_version() -> None:
    """`--version` names the program and a version."""
    assert re.fullmatch(rb"sse-client \d+\.\d+.*\n", run("--version").out)
