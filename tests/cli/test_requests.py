"""Requests as they are sent: URLs, headers, bodies, credentials, and requests that browsers copy as a curl command."""

import socket
import ssl
import sys
from pathlib import Path

import pytest
import trustme
from command import run
from uvicorn_server import UvicornServer

from sse_client.cli._curl import parse_curl
from sse_client.cli._request import url_of
from sse_client.cli._usage import UsageError
from sse_client.testing import Answer, EventServer, Pause, RecordedRequest

ONE = Answer("data: 1\n\n")


def sent(*arguments: str, stdin: bytes = b"") -> RecordedRequest:
    """The request that the arguments send; URL stands for that of the server."""
    with EventServer(ONE) as server:
        done = run(*(each.replace("URL", server.url) for each in arguments), stdin=stdin)
        assert (done.code, done.err) == (0, "")
        return server.requests[0]


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (":8000/x", "http://localhost:8000/x"),
        ("localhost:8000", "http://localhost:8000"),
        ("example.org/a?b=c", "http://example.org/a?b=c"),
        ("https://h/", "https://h/"),
    ],
)
def test_urls(target: str, url: str) -> None:
    """A port alone is localhost, and a host alone is http."""
    assert url_of(target) == url


@pytest.mark.parametrize(
    ("arguments", "method"),
    [(["URL"], "GET"), (["URL", "--json", "{}"], "POST"), (["URL", "-d", ""], "POST"), (["get", "URL"], "GET")],
    ids=["bare", "with JSON", "with an empty body", "get"],
)
def test_methods(arguments: list[str], method: str) -> None:
    """A bare URL is a GET, or a POST if there is a body."""
    assert sent(*arguments).method == method


def test_bodies(tmp_path: Path) -> None:
    """A body is JSON, bytes or a form; from the arguments, a file or standard input."""
    file = tmp_path / "body"
    file.write_bytes(b'{"a": 1}')
    for arguments, stdin in ((['{"a": 1}'], b""), ([f"@{file}"], b""), (["-"], b'{"a": 1}')):
        request = sent("post", "URL", "--json", *arguments, stdin=stdin)
        assert (request.json(), request.headers["content-type"]) == ({"a": 1}, "application/json")
    request = sent("post", "URL", "-d", "-", stdin=b"\xff\x00")
    assert (request.body, request.headers["content-type"]) == (b"\xff\x00", "application/x-www-form-urlencoded")
    request = sent("post", "URL", "-d", "x", "-H", "content-type: text/plain")
    assert request.headers["content-type"] == "text/plain"
    assert sent("post", "URL", "-F", "a=1", "-F", "a=2", "-F", "b=c=d").body == b"a=1&a=2&b=c%3Dd"
    request = sent("post", "URL", "-F", "a=1", "-F", f"f=@{file}")
    assert request.headers["content-type"].startswith("multipart/form-data")
    assert b'{"a": 1}' in request.body


def test_headers_and_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers, queries and credentials are sent as given; a query is added to that of the URL."""
    monkeypatch.setenv("KEY", "k3y\n")
    request = sent(
        "URL/p?a=1", "-H", "X-A: é", "-q", "b=2 3", "-q", "a=4", "--bearer-env", "KEY", "--last-event-id", "7"
    )
    assert request.target == "/p?a=1&b=2+3&a=4"
    assert request.headers["x-a"] == "é"
    assert request.headers["authorization"] == "Bearer k3y"
    assert request.headers["last-event-id"] == "7"
    assert sent("URL", "-u", "me", "--password-env", "KEY").headers["authorization"] == "Basic bWU6azN5"
    assert sent("URL", "-u", "me:you").headers["authorization"] == "Basic bWU6eW91"


def test_the_password_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `--password-env`, the password is asked for on the terminal."""
    monkeypatch.setattr("getpass.getpass", lambda _: "you")
    assert sent("URL", "-u", "me").headers["authorization"] == "Basic bWU6eW91"


CHROME = r"""curl 'URL/api/chat?x=1' \
  -H 'accept: text/event-stream' \
  -H 'accept-language: en-US,en;q=0.9' \
  -b 'sid=abc; theme=dark' \
  -H 'content-type: application/json' \
  -H 'sec-ch-ua: "Chromium";v="130"' \
  --data-raw $'{"message":"it\'s \u0021 \xc3\xa9"}' \
  --compressed"""
FIREFOX = (
    "curl 'URL/api/chat?x=1' --compressed -X POST -H 'User-Agent: Mozilla/5.0' -H 'Accept: text/event-stream' "
    "-H 'Accept-Encoding: gzip, deflate, br, zstd' -H 'content-type: application/json' "
    """-H 'Cookie: sid=abc; theme=dark' --data-raw '{"message":"it'"'"'s ! é"}'"""
)
SAFARI = (
    "curl 'URL/api/chat?x=1' \\\n-X 'POST' \\\n-H 'Accept: text/event-stream' \\\n"
    "-H 'Content-Type: application/json' \\\n"
    """-H 'Cookie: sid=abc; theme=dark' \\\n--data-binary "{\\"message\\":\\"it's ! é\\"}\""""
)
WINDOWS = (
    'curl ^"URL/api/chat?x=1^" ^\r\n  -H ^"accept: text/event-stream^" ^\r\n  -b ^"sid=abc; theme=dark^" ^\r\n'
    '  -H ^"content-type: application/json^" ^\r\n'
    '  --data-raw ^"^{^\\^"message^\\^":^\\^"it\'s ^! é^\\^"^}^"'
)


# As Firefox writes characters outside of ASCII, and Chrome for Windows those that its shell would expand.
EMOJI = r"""curl 'URL/api' --data-raw $'{"a":"\ud83d\ude00 \x21 \'"}' -X POST --compressed"""
PERCENT = 'curl ^"URL/api?a=^%^20b^&c=1^" ^\n  --data-raw ^"^{^\\^"a^\\^":^\\^"^%^41 ^\\^\\ x^\n\ny^\\^"^}^"'
OLD_WINDOWS = 'curl "URL/api" ^\r\n  -H "content-type: text/plain" ^\r\n  --data-raw "{\\"a\\":\\"b^c\\"}"'

COPIES = {
    "an emoji from Firefox": (EMOJI, "POST /api", '{"a":"\N{GRINNING FACE} ! \'"}'),
    "a percent from Windows": (PERCENT, "POST /api?a=%20b&c=1", '{"a":"%41 \\ x\ny"}'),
    "quotes from Windows": (OLD_WINDOWS, "POST /api", '{"a":"b^c"}'),
    "a caret from bash": ("""curl 'URL/' --data-raw '{"a":"^"}'""", "POST /", '{"a":"^"}'),
    "half of an emoji": (r"curl URL -d $'\ud83d'", "POST /", "\N{REPLACEMENT CHARACTER}"),
    "no such character": (r"curl URL -d $'\U00110000'", "POST /", "\N{REPLACEMENT CHARACTER}"),
    "joined options": ("curl -sNXPUT URL -kd x", "PUT /", "x"),
    "data in their order": ("curl URL --data-raw b=2 --data a=1", "POST /", "b=2&a=1"),
    "a trailing backslash": ("curl URL \\\n  -d x \\\n", "POST /", "x"),
    "an empty body": ("curl URL --data-raw ''", "POST /", ""),
}


@pytest.mark.parametrize("name", COPIES)
def test_copies(name: str) -> None:
    """A copied command means what its shell and curl make of it."""
    command, line, body = COPIES[name]
    request = sent("--from-curl", command)
    assert f"{request.method} {request.target}" == line
    assert request.body.decode() == body


def test_a_copied_form() -> None:
    """curl's `-F` sends several parts; a header without a value is left out, and one with a semicolon is empty."""
    request = sent("--from-curl", "curl URL -F a=1 -H 'Accept:' -H 'X-Empty;' -H ignored")
    assert request.headers["content-type"].startswith("multipart/form-data")
    assert (request.headers["accept"], request.headers["x-empty"]) == ("text/event-stream", "")


def test_json_is_sent_as_it_was_typed() -> None:
    """`--json` sends the digits, the names and even the null that were typed, and not what Python makes of them."""
    for text in ('{"n": 12345678901234567890.10, "n": 1}', "null", r'"\ud800"'):
        request = sent("post", "URL", "--json", text)
        assert (request.body.decode(), request.headers["content-type"]) == (text, "application/json")


def test_bytes_that_are_not_text() -> None:
    """Arguments that are not UTF-8 are sent byte for byte."""
    assert sent("URL", "-q", "a=\udcff").target == "/?a=%FF"
    assert sent("URL", "-F", "a=\udcff").body == b"a=%FF"
    assert sent("URL", "-d", "\udcff").body == b"\xff"


@pytest.mark.skipif(not socket.has_ipv6, reason="without IPv6")
def test_ipv6() -> None:
    """A host may be an address of IPv6, with or without a scheme."""
    try:
        server = UvicornServer("::1")
    except OSError:
        pytest.skip("there is no loopback of IPv6")
    with server:
        for url in (server.url, server.url.removeprefix("http://")):
            done = run(f"{url}/echo", "--count", "1", "--data")
            assert (done.code, b'"GET"' in done.out) == (0, True), done.err


@pytest.mark.parametrize("command", [CHROME, FIREFOX, SAFARI, WINDOWS], ids=["Chrome", "Firefox", "Safari", "Windows"])
def test_copied_from_a_browser(command: str) -> None:
    """A request copied from a browser is sent as the browser did, but does not ask for compression."""
    request = sent("--from-curl", command)
    assert (request.method, request.target) == ("POST", "/api/chat?x=1")
    assert request.json() == {"message": "it's ! é"}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["cookie"] == "sid=abc; theme=dark"
    assert request.headers["accept-encoding"] == "identity"


def test_from_curl_and_more() -> None:
    """The other arguments add to a curl command, or replace its headers; it may come from standard input."""
    command = b"curl URL -H 'X-A: 1' -H 'X-B: 2' -u me:you -k"
    with EventServer(ONE) as server:
        stdin = command.replace(b"URL", server.url.encode())
        assert run("get", "--from-curl", "-", "-H", "x-a: 3", "-q", "k=v", stdin=stdin).code == 0
        request = server.requests[0]
    assert (request.headers["x-a"], request.headers["x-b"], request.target) == ("3", "2", "/?k=v")
    assert request.headers["authorization"] == "Basic bWU6eW91"


REFUSED = {
    "an unknown option": ("curl http://h/ --limit-rate c4n4ry", "unknown option --limit-rate"),
    "a joined option": ("curl http://h/ -oc4n4ry", "unknown option -o"),
    "a wrong program": ("wget http://h/", "begins with curl"),
    "two URLs": ("curl http://h/ http://c4n4ry/", "expected one URL, got 2"),
    "an open quote": ("curl 'http://h/c4n4ry", "a quote is not closed"),
    "no value": ("curl http://h/ -H", "--header needs a value"),
    "an unknown one of several": ("curl -sZ http://h/", "unknown option -Z"),
    "a value after =": ("curl http://h/ --header=c4n4ry", "unknown option --header"),
    "a file of headers": ("curl http://h/ -H @c4n4ry", "names a file"),
    "a file in a form": ("curl http://h/ -F a=@/c4n4ry", "names a file"),
    "a type in a form": ("curl http://h/ -F 'a=c4n4ry;type=text/html'", "a type"),
    "a header of two lines": (r"curl http://h/ -H $'a: c4n4ry\nb: 1'", "on one line"),
    "no method": ("curl http://h/ -X 'c4n4ry x'", "needs a method"),
    "a variable": ('curl http://h/ -H "Authorization: Bearer $c4n4ry"', "would expand the $"),
    "a command in a command": ("curl http://h/ -d $(c4n4ry)", "would expand the $"),
    "a file": ("curl http://h/ -d @/etc/c4n4ry", "names a file"),
    "a file of cookies": ("curl http://h/ -b c4n4ry.txt", "names a file"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_curl(name: str) -> None:
    """An option of curl's that is not known is refused by name, and no value is shown."""
    command, expected = REFUSED[name]
    done = run("--from-curl", command)
    assert done.code == 2
    assert expected in done.err
    assert "c4n4ry" not in done.err


def test_curl_with_another_method() -> None:
    """A copied POST is not sent as a GET."""
    done = run("follow", "--from-curl", "curl http://h/ -X POST")
    assert (done.code, "is a POST" in done.err) == (2, True)


def test_curl_as_a_query() -> None:
    """`-G` puts the data into the query, and several are joined as curl does."""
    assert parse_curl("curl http://h/ -G -d a=1 --data-urlencode 'b=x y'").url == "http://h/?a=1&b=x+y"
    assert parse_curl("curl http://h/ -d a=1 -d b=2").body == b"a=1&b=2"
    with pytest.raises(UsageError):
        parse_curl("")
    curl = parse_curl("curl --url http://h/ -H 'X-Empty;' --json '{}'")
    assert curl.headers == [("X-Empty", ""), ("Content-Type", "application/json"), ("Accept", "application/json")]


def test_the_password_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal, no password is asked for."""

    def ask(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", ask)
    for arguments in (["get", "http://h/", "-u", "me"], ["--from-curl", "curl http://h/ -u me"]):
        done = run(*arguments)
        assert (done.code, "--password-env" in done.err) == (2, True)


def test_http2_and_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--http2` is asked for over TLS only, and says what it needs; `--proxy` takes a host and a port."""
    assert sent("URL", "--http2").target == "/"
    with EventServer(ONE) as proxy:
        assert run("http://h.invalid/x", "--proxy", f"127.0.0.1:{proxy.port}", "--data").out == b"1\n"
        assert proxy.requests[0].target == "http://h.invalid/x"
    monkeypatch.setitem(sys.modules, "h2", None)
    done = run("get", "http://h/", "--http2")
    assert (done.code, "pip install h2" in done.err) == (2, True)


def test_a_certificate(tmp_path: Path) -> None:
    """`--cert` shows the server who asks."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    ours = tmp_path / "ours.pem"
    ca.issue_cert("me@example.org").private_key_and_cert_chain_pem.write_to_path(str(ours))
    with EventServer(ONE, ssl_context=context) as server:
        assert run("get", server.url, "-k", "--cert", str(ours), "--data").out == b"1\n"
        assert run("get", server.url, "-k").code in (3, 7)


def test_mcp() -> None:
    """The dialect of MCP takes the ID of the request from its JSON."""
    answer = Answer('data: {"jsonrpc": "2.0", "id": 7, "result": {}}\n\n', Pause(9))
    with EventServer(answer) as server:
        done = run("post", server.url, "--json", '{"jsonrpc": "2.0", "id": 7}', "--dialect", "mcp", "--count", "9")
    assert (done.code, done.out.count(b"\n")) == (0, 1)
