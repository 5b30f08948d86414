"""
Failures behind a proxy: which requests may have reached the server.

The cases: the proxy does not respond to its `CONNECT`, refuses it, or opens the tunnel; in the tunnel there is no TLS,
untrusted TLS, or the server; the server is lost. And a proxy without a tunnel, as for plain HTTP.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import pytest
import trustme
from shells import Shell

from sse_client import ConnectionFailed, RetryPolicy
from sse_client.testing import FIN, RST, Answer, EventServer

QUICK = RetryPolicy(initial_delay=0.01, jitter=0)
OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"
AUTHORITY = trustme.CA()


@cache
def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


@cache
def serving() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return context


@contextmanager
def tunnel(port: int) -> Iterator[str]:
    """A proxy whose every tunnel leads to that port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ends: list[socket.socket] = []

        def relay(source: socket.socket, target: socket.socket) -> None:
            with suppress(OSError):
                while data := source.recv(65_536):
                    target.sendall(data)
            for end in (source, target):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    ends.append(client)
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        head += client.recv(65_536)
                    server = socket.create_connection(("127.0.0.1", port))
                    ends.append(server)
                    client.sendall(OPENED)
                    for pair in ((client, server), (server, client)):
                        threading.Thread(target=relay, args=pair, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for end in ends:
                end.close()


# The proxy's response to a `CONNECT`; the request cannot have reached the server.
UNREACHED: dict[str, Callable[[], Answer]] = {
    "lost": lambda: Answer(FIN, framing="raw"),
    "reset": lambda: Answer(RST, framing="raw"),
    "no-http": lambda: Answer(b"what is this\r\n\r\n", framing="raw"),
    "refused": lambda: Answer("no", status=502),
    "no-tls": lambda: Answer(OPENED, b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20, framing="raw"),
    "closed-before-tls": lambda: Answer(OPENED, framing="raw"),
}


@pytest.mark.parametrize("name", UNREACHED)
def test_a_request_that_stayed_at_the_proxy(shell: Shell, name: str) -> None:
    """Whatever fails before the tunnel has TLS, the request was not sent, so a POST is retried."""
    with EventServer(UNREACHED[name]()) as proxy:
        http = {"proxy": proxy.url, "verify": trusting()}
        error = shell.read("https://127.0.0.1:9/", http=http, json={}, retry=QUICK).error
    assert isinstance(error, ConnectionFailed)
    assert error.ambiguous is False
    assert [request.method for request in proxy.requests] == ["CONNECT"] * 3
    assert "retry_ambiguous" not in str(error)


def test_a_certificate_that_is_not_trusted(shell: Shell) -> None:
    """The request was not sent either if the server in the tunnel has an untrusted certificate."""
    with EventServer(Answer("data: ok\n\n"), ssl_context=serving()) as server, tunnel(server.port) as proxy:
        http = {"proxy": proxy}
        error = shell.read(server.url, http=http, json={}, retry=None).error
    assert isinstance(error, ConnectionFailed)
    assert (error.ambiguous, server.requests) == (False, [])


@pytest.mark.parametrize("ending", [FIN, RST], ids=["closed", "reset"])
def test_a_request_that_went_through(shell: Shell, ending: Any) -> None:
    """A request that is lost in the tunnel may have reached the server: a POST is not sent again."""
    lost = Answer(ending, framing="raw")
    with EventServer(lost, ssl_context=serving()) as server, tunnel(server.port) as proxy:
        http = {"proxy": proxy, "verify": trusting()}
        error = shell.read(server.url, http=http, json={}, retry=QUICK).error
    assert isinstance(error, ConnectionFailed)
    assert (error.ambiguous, len(server.requests)) == (True, 1)
    assert "retry_ambiguous" in str(error)


def test_a_stream_through_a_tunnel(shell: Shell) -> None:
    """A stream through a tunnel is the same as without."""
    with EventServer(Answer("data: ok\n\n"), ssl_context=serving()) as server, tunnel(server.port) as proxy:
        result = shell.read(server.url, http={"proxy": proxy, "verify": trusting()}, json={})
    assert (result.error, result.data) == (None, ["ok"])


def test_a_proxy_without_a_tunnel(shell: Shell) -> None:
    """Plain HTTP goes to the proxy itself, which may have passed it on, so a lost POST is ambiguous."""
    with EventServer(Answer(RST, framing="raw")) as proxy:
        error = shell.read("http://127.0.0.1:9/", http={"proxy": proxy.url}, json={}, retry=QUICK).error
    assert isinstance(error, ConnectionFailed)
    assert (error.ambiguous, [request.method for request in proxy.requests]) == (True, ["POST"])
