"""No secret of a request is shown or kept: not on standard output, nor standard error, nor in a recording."""

from pathlib import Path

import pytest
from command import run

from sse_client.testing import FIN, Answer, EventServer, Pause

SECRET = "c4n4ry"
REQUEST = [
    *("-H", f"Authorization: Bearer {SECRET}", "-H", f"Cookie: sid={SECRET}", "-H", f"X-Api-Key: {SECRET}"),
    *("-H", f"User-Agent: {SECRET}", "-H", f"Accept-Language: {SECRET}", "-H", f"Accept: {SECRET}"),
    *("-H", f"Accept-Encoding: gzip, {SECRET}"),
    *("-q", f"key={SECRET}", "--bearer-env", "KEY", "-u", "me", "--password-env", "KEY"),
]
ANSWERS = {
    "a stream": Answer("data: 1\n\n", headers={"Set-Cookie": f"sid={SECRET}"}),
    "a cut": Answer("data: 1\n\n", Pause(0.02), FIN),
    "no stream": Answer.json({"error": "no"}),
    "a refusal": Answer("no", status=401),
    "a redirect": Answer(status=307, headers={"Location": f"http://me:{SECRET}@other.invalid/?key={SECRET}"}),
    "no response": Answer(FIN, framing="raw"),
}
OUTPUTS = ["--pretty", "--jsonl", "--data", "--raw", "--text=."]


@pytest.mark.parametrize("name", ANSWERS)
def test_no_secret_is_shown(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A canary in each header, cookie, password and query is in no output and no recording, over all commands."""
    monkeypatch.setenv("KEY", SECRET)
    curl = f"curl 'URL/x?key={SECRET}' -H 'x: {SECRET}' -b 'a={SECRET}' -u 'me:{SECRET}'"
    cassette = tmp_path / "cassette.jsonl"
    with EventServer(ANSWERS[name]) as server:
        url = server.url.replace("//", f"//user:{SECRET}@") + f"/?{SECRET}"
        calls = [["get", url, *REQUEST, output] for output in OUTPUTS]
        calls += [["post", url, *REQUEST, "--json", f'{{"a": "{SECRET}"}}'], [url, *REQUEST, "-d", SECRET]]
        calls += [["post", url, *REQUEST, "-F", f"a={SECRET}"], ["--from-curl", curl.replace("URL", server.url)]]
        calls += [["follow", url, *REQUEST, "--count", "1", "--retries", "0", "--timeout", "0.3"]]
        for call in calls:
            done = run(*call, "-i", "-v", "--stats", "--comments", "--record", str(cassette))
            assert done.code != 2, done.err
            kept = cassette.read_text() if cassette.exists() else ""
            assert SECRET not in f"{done.out.decode()}{done.err}{kept}"
        assert SECRET in "".join(map(str, (request.target for request in server.requests)))
    done = run("replay", str(cassette), "-i", "--speed", "inf")
    assert SECRET not in f"{done.out.decode()}{done.err}"


def test_no_secret_is_shown_of_a_proxy() -> None:
    """The password of a proxy is in no output, if the proxy is not there."""
    done = run("get", "http://h.invalid/", "--proxy", f"http://me:{SECRET}@127.0.0.1:1", "-v")
    assert done.code == 3
    assert SECRET not in done.err


@pytest.mark.parametrize("name", ANSWERS)
def test_no_secret_is_shown_by_doctor(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary is in no report of doctor and not in its recording."""
    monkeypatch.setenv("KEY", SECRET)
    files = {option: tmp_path / f"report.{option}" for option in ("html", "svg", "record")}
    with EventServer(ANSWERS[name]) as server:
        url = server.url.replace("//", f"//user:{SECRET}@") + f"/?{SECRET}"
        more = [word for option, path in files.items() for word in (f"--{option}", str(path))]
        done = run("doctor", url, *REQUEST, "--json", "--probe", "--compare", url, *more)
        assert done.code != 2, done.err
        assert len(server.requests) > 1
    written = [path.read_text() for path in files.values()]
    assert SECRET not in "".join([done.out.decode(), done.err, *written])
