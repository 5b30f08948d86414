"""
Redirects, as tables: which are followed, with which request, and where the stream continues afterwards.

The cases, each in all combinations with the others:

- the status: 301, 302, 303, 307, 308
- the target: within the origin, https of the same host, another origin, from https to http
- the method: GET, HEAD, POST, PUT
- the body: none, one that can be sent again, one that is used up
- what the call allows: its own origin, or others too
- the time: first, in a retry, after another redirect, in a resume (by the same request, by GET, to its own URL, by a
  cursor), in a subscription
- the retry policy: none, or one that retries

And after a redirect was followed: which failure follows, how the stream is resumed, and where its URL comes from.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from traceback import format_exception
from typing import Any

import pytest
from session.driver import POST, RESET, URL, Reply, Scene, answer, event, ok, plan, run, subscription
from shells import Shell

from sse_client import (
    ConnectionFailed,
    Cursor,
    LastEventID,
    Request,
    RetryPolicy,
    StatusError,
    StreamInterrupted,
)
from sse_client._core.plan import Plan
from sse_client.testing import RST, Answer, RecordedRequest, scripted_transport

QUICK = RetryPolicy(initial_delay=0.01, jitter=0)

STATUSES = (301, 302, 303, 307, 308)
METHODS = ("GET", "HEAD", "POST", "PUT")
BODIES: dict[str, Callable[[], Any]] = {"none": lambda: None, "text": lambda: "x", "used up": lambda: iter([b"x"])}

# The URL of the request, and the target.
TARGETS = {
    "origin": ("http://test/chat", "http://test/b?c=d"),
    "https": ("http://test/chat", "https://test/b?c=d"),
    "other": ("http://test/chat", "http://other/b?c=d"),
    "http": ("https://test/chat", "http://test/b?c=d"),
}


def same(cursor: None, request: Request) -> Request:
    return request


# The time of the redirect: how the call is resumed, and the responses before it.
BEGUN = ok(event(1), RESET)
TIMES: dict[str, tuple[Any, list[Reply]]] = {
    "first": (None, []),
    "in a retry": (None, [answer(503)]),
    "after another": (None, [answer(307, location="?again")]),
    "in a resume": (LastEventID(), [BEGUN]),
    "in a resume by GET": (LastEventID(method="GET"), [BEGUN]),
    "in a resume elsewhere": (LastEventID(url="see `story`"), [BEGUN]),
    "in a resume by a cursor": (Cursor(None, lambda cursor, _: cursor, same), [BEGUN]),
    "to a subscription": (None, []),
}


def is_followed(status: int, where: str, method: str, body: str, allows: bool) -> bool:
    """The rule, in the words of the documentation."""
    if body == "used up" or where == "http":
        return False
    if method in ("POST", "PUT") and status not in (307, 308):
        return False
    return where != "other" or allows


def story(
    time: str, status: int, where: str, method: str, body: str, allows: bool, policy: RetryPolicy | None
) -> Scene:
    """A stream that is redirected once, at that time."""
    resume, replies = TIMES[time]
    url, location = TARGETS[where]
    if time == "in a resume elsewhere":
        resume = replace(resume, url=f"{url}?resume")
    request = Request(method=method, url=url, params={"p": "1"}, content=BODIES[body]())
    redirect = answer(status, location=location)
    options: dict[str, Any] = {"retry": policy, "cross_origin_redirects": allows, "idempotency_key": ("X-Key", "k1")}
    is_feed = time == "to a subscription"
    whole = plan(request, resume=resume, is_subscription=is_feed, **options)
    return run(whole, *replies, redirect, answer(204) if is_feed else ok(event(2)))


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("status", STATUSES)
def test_which_redirects_are_followed(status: int, time: str) -> None:
    """A redirect is followed if the rule allows it, at any time; otherwise it is an error that says why."""
    policies = (None, RetryPolicy(jitter=0.0))
    for where, method, body, allows, policy in product(TARGETS, METHODS, BODIES, (False, True), policies):
        if body == "used up" and time not in ("first", "in a resume by GET"):
            continue  # such a body does not get that far
        if time == "in a retry" and policy is None:
            continue
        result = story(time, status, where, method, body, allows, policy)
        by_get = time == "in a resume by GET"
        expected = is_followed(status, where, "GET" if by_get else method, "none" if by_get else body, allows)
        name = f"{where}, {method}, {body}, {allows}, {policy}"
        before = len(TIMES[time][1]) + 1
        assert len(result.connects) == before + expected, name
        if expected:
            assert result.outcome == "completed", name
            last = result.connects[-1]
            asked = result.connects[-2].request
            assert last.request == replace(asked, url=TARGETS[where][1], params=None), name
            assert (last.is_foreign, last.is_exact) == (where == "other", True), name
            assert last.headers == result.connects[-2].headers, name
            assert last.headers["X-Key"] == b"k1", name
            assert ("Last-Event-ID" in last.headers) is (time.startswith("in a resume") and "cursor" not in time), name
        else:
            error = result.error
            assert type(error) is (StreamInterrupted if time.startswith("in a resume") else StatusError), name
            assert "the redirect is not followed" in str(error), name


HERE, THERE = "http://test/b", "http://other/b"
NAMED = LastEventID(method="GET", url="http://test/r")
LOCATED = LastEventID(method="GET", url=lambda response: response)
AFTER_A_REDIRECT: list[tuple[str, Plan, str, Reply, str, bool]] = [
    # A retry starts at the first URL.
    ("retry", plan(), HERE, answer(503), URL, False),
    ("retry-foreign", plan(), THERE, answer(503), URL, False),
    # A resume is sent to the stream's current URL.
    ("resume", plan(resume=LastEventID()), HERE, BEGUN, HERE, False),
    ("resume-foreign", plan(resume=LastEventID()), THERE, BEGUN, THERE, True),
    ("resume-by-get", plan(resume=LastEventID(method="GET")), HERE, BEGUN, HERE, False),
    ("resume-by-get-foreign", plan(resume=LastEventID(method="GET")), THERE, BEGUN, THERE, True),
    # A URL from the user is the user's own; one that the response names is as foreign as the response.
    ("resume-named", plan(resume=NAMED), HERE, BEGUN, "http://test/r", False),
    ("resume-named-foreign", plan(resume=NAMED), THERE, BEGUN, "http://test/r", False),
    ("resume-located", plan(resume=LOCATED), HERE, BEGUN, "http://test/s", False),
    ("resume-located-foreign", plan(resume=LOCATED), THERE, BEGUN, "http://other/s", True),
    # A cursor makes its request from the first one.
    ("cursor", plan(resume=Cursor(None, lambda cursor, _: cursor, same)), HERE, BEGUN, URL, False),
    ("cursor-foreign", plan(resume=Cursor(None, lambda cursor, _: cursor, same)), THERE, BEGUN, URL, False),
    # A subscription stays at its current URL, unless its resume has another one.
    ("feed", subscription(), HERE, BEGUN, HERE, False),
    ("feed-foreign", subscription(), THERE, BEGUN, THERE, True),
    ("feed-before-an-event", subscription(), HERE, ok(), HERE, False),
    ("feed-refused", subscription(), THERE, answer(503), THERE, True),
    ("feed-resume", subscription(resume=LastEventID()), HERE, BEGUN, HERE, False),
    ("feed-named", subscription(resume=NAMED), HERE, BEGUN, "http://test/r", False),
    ("feed-named-foreign", subscription(resume=NAMED), THERE, BEGUN, "http://test/r", False),
    ("feed-located-foreign", subscription(resume=LOCATED), THERE, BEGUN, "http://other/s", True),
    ("feed-cursor", subscription(resume=Cursor(None, lambda cursor, _: cursor, same)), HERE, BEGUN, URL, False),
]


@pytest.mark.parametrize(
    ("plan_", "location", "reply", "url", "is_foreign"), [pytest.param(*row[1:], id=row[0]) for row in AFTER_A_REDIRECT]
)
def test_where_a_stream_goes_on(plan_: Plan, location: str, reply: Any, url: str, is_foreign: bool) -> None:
    """After a redirect, a failure is retried at the first URL, and resumed at the stream's current URL."""
    script = answer(307, location=location), replace(reply, response="s"), answer(204)
    result = run(replace(plan_, cross_origin_redirects=True), *script)
    assert [step.request.url for step in result.connects] == [URL, location, url]
    assert result.connects[2].is_foreign is is_foreign


def test_a_resume_that_is_redirected_abroad() -> None:
    """
    A redirect of a resume to another origin does not make the next resume foreign, which starts at the first origin.
    """
    resume = LastEventID(method="GET", url=lambda response: response)
    abroad = answer(307, location=THERE)
    result = run(
        plan(resume=resume, cross_origin_redirects=True),
        replace(ok(event(1), RESET), response="/s"),
        abroad,
        ok(event(2), RESET),
        ok(event(3)),
    )
    assert [step.request.url for step in result.connects] == [URL, "http://test/s", THERE, "http://test/s"]
    assert [step.is_foreign for step in result.connects] == [False, False, True, False]


def exact(result: Scene) -> list[bool]:
    return [step.is_exact for step in result.connects]


def test_whose_url_is_requested_as_it_is() -> None:
    """Only URLs of a `Location`, of `LastEventID(url=)`, and of a cursor that wrote a query itself are sent exactly."""

    def cursor(**fields: Any) -> Cursor[None]:
        return Cursor(None, lambda cursor, _: cursor, lambda _, request: replace(request, **fields))

    script = ok(event(1), RESET), ok(event(2))
    assert exact(run(plan(resume=LastEventID()), *script)) == [False, False]
    assert exact(run(plan(resume=LastEventID(method="GET")), *script)) == [False, False]
    assert exact(run(plan(resume=LastEventID(url=URL)), *script)) == [False, True]
    assert exact(run(plan(resume=LastEventID(url="/r")), *script)) == [False, True]
    assert exact(run(plan(resume=cursor(params={"after": "1"})), *script)) == [False, False]
    assert exact(run(plan(resume=cursor(url="/r")), *script)) == [False, False]
    assert exact(run(plan(resume=cursor(url="/r?after=1")), *script)) == [False, True]
    assert exact(run(plan(resume=cursor(url="/r?after=1", params={"a": "b"})), *script)) == [False, False]
    asked = Request(method="POST", url=f"{URL}?a=b", json={})
    assert exact(run(plan(asked, resume=cursor(json={"after": 1})), *script)) == [False, False]


@pytest.mark.parametrize(
    ("url", "location", "target"),
    [
        ("http://me:secret@test/a", "/b", "http://me:secret@test/b"),
        ("http://me:secret@test/a", "http://test/b", "http://me:secret@test/b"),
        ("http://me:secret@test/a", "https://test/b", "https://me:secret@test/b"),
        ("http://me:secret@test/a", "http://you@test/b", "http://you@test/b"),
        ("http://me:secret@test/a", "http://other/b", "http://other/b"),
        ("http://test/a", "http://test/b", "http://test/b"),
    ],
)
def test_the_user_of_a_url(url: str, location: str, target: str) -> None:
    """Credentials in the URL are for its whole origin, and for no other."""
    result = run(plan(replace(POST, url=url), cross_origin_redirects=True), answer(307, location=location), ok())
    assert result.connects[1].request.url == target


class World:
    """Servers over one transport, by the host in the request."""

    def __init__(self, **hosts: list[Answer]) -> None:
        self.hosts = hosts
        self.transport = scripted_transport(self._answer)
        self.requests: list[RecordedRequest] = self.transport.requests

    def _answer(self, request: RecordedRequest) -> Answer:
        return self.hosts[request.headers["host"]].pop(0)

    @property
    def targets(self) -> list[str]:
        return [f"{request.headers['host']} {request.target}" for request in self.requests]

    def header(self, name: str) -> list[str | None]:
        return [request.headers.get(name) for request in self.requests]


def redirect(location: str, status: int = 307) -> Answer:
    return Answer(status=status, headers={"Location": location}, framing="length")


def numbers(*items: int) -> str:
    return "".join(f"id: {number}\ndata: {number}\n\n" for number in items)


def test_a_resume_at_another_origin(shell: Shell) -> None:
    """Another origin gets the last event ID: without it, it would repeat the stream."""
    world = World(
        home=[redirect("http://other/b")],
        other=[Answer(numbers(1), RST), Answer(numbers(2))],
    )
    result = shell.read(
        "http://home/a", http={"transport": world.transport}, cross_origin_redirects=True, resume=LastEventID()
    )
    assert (result.error, result.data) == (None, ["1", "2"])
    assert world.header("last-event-id") == [None, None, "1"]


@pytest.mark.parametrize("name", ["Idempotency-Key", "X-Request-Token"])
def test_an_idempotency_key_at_another_origin(shell: Shell, name: str) -> None:
    """Another origin gets the idempotency key, whatever its header is called: without it, a retry would act twice."""
    lost = Answer(RST, framing="raw")
    world = World(
        home=[redirect("http://other/b"), redirect("http://other/b")],
        other=[lost, Answer("data: ok\n\n")],
    )
    result = shell.read(
        "http://home/a",
        client={"idempotency_key_header": name, "retry": QUICK},
        http={"transport": world.transport, "headers": {"X-Token": "secret"}, "cookies": {"c": "secret"}},
        cross_origin_redirects=True,
        last_event_id="7",
        auth=("me", "secret"),
    )
    assert (result.error, result.data) == (None, ["ok"])
    keys = world.header(name)
    assert len(keys) == 4
    assert len(set(keys)) == 1
    assert keys[0] is not None
    assert world.header("last-event-id") == ["7"] * 4
    assert [request.headers["host"] for request in world.requests] == ["home", "other"] * 2
    assert not [
        request for request in world.requests if request.headers["host"] == "other" if "secret" in repr(request)
    ]


# Parts of a URL that are easily changed.
QUERY = "sig=a%2Fb+c%20d&empty=&e=%C3%A9&q=it's;x=(1)*!,~@:/?&v=1"
PARAMS = {"v": "2", "api-version": "3"}


@pytest.mark.parametrize(
    "location",
    [f"/signed%2Fa?{QUERY}", f"http://home/signed%2Fa?{QUERY}#frag/ment?x"],
    ids=["relative", "absolute-with-fragment"],
)
@pytest.mark.parametrize("base_url", ["", "http://home/base/"], ids=["no-base", "base"])
def test_a_redirect_keeps_its_query(shell: Shell, location: str, base_url: str) -> None:
    """A redirect's URL is requested unchanged, even if the client has parameters for all requests."""
    world = World(home=[redirect(location), Answer("data: ok\n\n")])
    http = {"transport": world.transport, "params": PARAMS, "base_url": base_url}
    assert shell.read("http://home/a", http=http, params={"call": "1"}).data == ["ok"]
    assert world.targets[1] == f"home /signed%2Fa?{QUERY}"
    assert "v=2" in world.targets[0]


def test_a_redirect_without_a_query(shell: Shell) -> None:
    """A redirect's URL without a query gets none, not even the client's; neither does another origin."""
    world = World(home=[redirect("/b"), redirect("http://other/c")], other=[redirect("/d?e=f"), Answer("data: ok\n\n")])
    http = {"transport": world.transport, "params": PARAMS}
    assert shell.read("http://home/a", http=http, cross_origin_redirects=True).data == ["ok"]
    assert world.targets[1:] == ["home /b", "other /c", "other /d?e=f"]


@pytest.mark.parametrize(
    ("url", "target"),
    [
        (f"http://home/r?{QUERY}", f"home /r?{QUERY}"),
        (f"http://home/r?{QUERY}#fragment", f"home /r?{QUERY}"),
        ("http://home/r", "home /r"),
        # Like all URLs of a call, a relative one is relative to the client's `base_url`.
        (f"/r%2F?{QUERY}", f"home /base/r%2F?{QUERY}"),
        ("/r", "home /base/r"),
    ],
    ids=["query", "fragment", "no-query", "relative-query", "relative"],
)
def test_a_resume_keeps_its_query(shell: Shell, url: str, target: str) -> None:
    """The URL of `LastEventID(url=)` is requested unchanged, whatever parameters the client or the call has."""
    world = World(home=[Answer(numbers(1), RST), Answer(status=503), Answer(numbers(2))])
    http = {"transport": world.transport, "params": PARAMS, "base_url": "http://home/base"}
    result = shell.read("/a", http=http, params={"call": "1"}, resume=LastEventID(url=url))
    assert (result.error, result.data) == (None, ["1", "2"])
    assert world.targets == ["home /base/a?v=2&api-version=3&call=1", target, target]


def test_a_cursor_keeps_its_query(shell: Shell) -> None:
    """A cursor that writes its position into the URL does not lose it to the client's parameters."""

    def request(cursor: int, request: Request) -> Request:
        return replace(request, method="GET", url=f"http://home/r?after={cursor}", json=None)

    world = World(home=[Answer(numbers(1), RST), Answer(numbers(2))])
    http = {"transport": world.transport, "params": PARAMS}
    resume = Cursor(0, lambda cursor, event: int(event.data), request)
    assert shell.read("http://home/a", http=http, json={}, resume=resume).data == ["1", "2"]
    assert world.targets[1] == "home /r?after=1"


def test_the_users_own_url_is_httpx_s(shell: Shell) -> None:
    """The user's own URL is merged with the client's parameters as in httpx."""
    world = World(home=[Answer("data: ok\n\n")])
    http = {"transport": world.transport, "params": PARAMS}
    shell.read("http://home/a", http=http, params={"call": "1"})
    assert world.targets == ["home /a?v=2&api-version=3&call=1"]


def test_a_user_in_the_url_is_sent_along(shell: Shell) -> None:
    """A redirect to an absolute URL of the same origin keeps the user of the first."""
    world = World(home=[redirect("http://home/b"), Answer("data: ok\n\n")])
    assert shell.read("http://me:secret@home/a", http={"transport": world.transport}).data == ["ok"]
    first, second = world.header("authorization")
    assert first is not None
    assert first == second


@pytest.mark.parametrize("location", ["http://[/?key=secret", "http://home:secret/"], ids=["host", "port"])
def test_a_location_that_is_no_url(shell: Shell, location: str) -> None:
    """A redirect to an invalid URL is final, even with httpx, which raises an error for it. No text quotes the URL."""
    world = World(home=[redirect(location, 302)])
    error = shell.read("http://home/a", method="GET", http={"transport": world.transport}, retry=QUICK).error
    assert isinstance(error, StatusError | ConnectionFailed)
    assert "not a URL" in str(error)
    assert "secret" not in "".join(format_exception(error))
    assert len(world.requests) == 1


def test_the_old_name(shell: Shell) -> None:
    """`follow_redirects` is not an argument: the error names `cross_origin_redirects`."""
    with pytest.raises(TypeError, match="cross_origin_redirects"):
        shell.read("http://home/", follow_redirects=True)
