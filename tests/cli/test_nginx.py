"""Streams through a real nginx: what it holds back, and what it cuts."""

import io
import json

import pytest
import uvicorn_server
from command import run
from nginx import Nginx

import sse_client_cli

GZIP = ("-H", "Accept-Encoding: gzip")

# The location and the options, and whether the first event arrives before the others are written.
LOCATIONS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    "not buffered": ("healthy/chat", (), True),
    "buffered": ("buffered/chat", (), False),
    "buffered, but for X-Accel-Buffering": ("buffered/chat?accel=no", (), True),
    "compressed, not buffered": ("healthy-gzip/chat", GZIP, True),
    "compressed and buffered": ("buffered-gzip/chat", GZIP, False),
    "compressed, but not for the SDK": ("buffered-gzip/chat", (), True),
    "compressed, but for X-Accel-Buffering": ("buffered-gzip/chat?accel=no", GZIP, True),
}


class Reader(io.BytesIO):
    """An output that tells the server when it has the first line."""

    def flush(self) -> None:
        if self.tell():
            uvicorn_server.first_is_read.set()


@pytest.mark.parametrize("command", ["get", "post"])
@pytest.mark.parametrize("name", LOCATIONS)
def test_what_arrives_when(name: str, command: str, nginx: Nginx) -> None:
    """An event that nginx holds back comes after all others were written; else it comes at once."""
    location, options, is_read_at_once = LOCATIONS[name]
    patience = "10" if is_read_at_once else "0.05"  # nginx holds it for as long as the others take, however long
    arguments = [
        command,
        nginx.url(location),
        *options,
        "-q",
        f"patience={patience}",
        "-q",
        "count=3",
        "--until",
        "done",
    ]
    out, err = Reader(), io.StringIO()
    assert sse_client_cli.main(arguments, out, err, io.BytesIO()) == 0, err.getvalue()
    *events, last = map(json.loads, out.getvalue().splitlines())
    assert [event["data"] for event in events] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert last["data"] == {"was_read": is_read_at_once}


def test_a_silent_backend(nginx: Nginx) -> None:
    """A backend that is silent for longer than `proxy_read_timeout` is a cut, with or without a terminator."""
    done = run(nginx.url("impatient/chat"), "-q", "count=1", "-q", "silence=9", "--data")
    assert (done.code, done.out) == (7, b'{"n": 1}\n')
    assert "the connection was lost after 1 event" in done.err


def test_no_backend(nginx: Nginx) -> None:
    """A 404 of the application exits 4 through nginx too."""
    done = run(nginx.url("healthy/nope"))
    assert (done.code, "404 Not Found" in done.err) == (4, True)
