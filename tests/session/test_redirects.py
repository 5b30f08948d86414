"""Which redirects are followed, and to which URL."""

from dataclasses import replace

import pytest

from session.driver import GET, POST, RESET, RESUME, URL, A, answer, event, ok, plan, rows, run
from sse_client._errors import (
    StatusError,
)
from sse_client._request import Request
from sse_client._resume import LastEventID

SECURE = "https://test/chat"
FOLLOWED = rows(
    ("relative", "GET", URL, 302, "/b", "http://test/b"),
    ("absolute", "GET", URL, 301, "http://test/b?c=d", "http://test/b?c=d"),
    ("sibling", "GET", "http://test/a/b", 302, "c", "http://test/a/c"),
    ("see-other", "GET", URL, 303, "/b", "http://test/b"),
    ("head", "HEAD", URL, 303, "/b", "http://test/b"),
    ("307", "GET", URL, 307, "/b", "http://test/b"),
    ("308", "GET", URL, 308, "/b", "http://test/b"),
    ("post-307", "POST", URL, 307, "/b", "http://test/b"),
    ("post-308", "POST", URL, 308, "/b", "http://test/b"),
    ("same-port", "GET", URL, 302, "http://test:80/b", "http://test:80/b"),
    ("other-case", "GET", URL, 302, "HTTP://TEST/b", None),
    ("http-to-https", "POST", URL, 307, SECURE, SECURE),
    ("scheme-relative", "GET", SECURE, 302, "//test/b", "https://test/b"),
)


@pytest.mark.parametrize(("method", "url", "status", "location", "target"), FOLLOWED)
def test_redirects_that_are_followed(method: str, url: str, status: int, location: str, target: str | None) -> None:
    """
    A redirect within the origin is followed, with the body and the headers, and does not count as another attempt.
    """
    request = Request(method=method, url=url, params={"a": "1"}, content="x")
    result = run(plan(request), answer(status, location=location), ok(A))
    assert result.data == ["a"]
    first, second = result.connects
    assert second.request == replace(request, url=target or second.request.url, params=None)
    assert (first.is_foreign, second.is_foreign) == (False, False)
    assert result.session.stats(result.now).attempts == 1


NOT_FOLLOWED = rows(
    ("other-host", "GET", URL, 302, "http://other/b", "another origin, http://other"),
    ("other-port", "GET", URL, 302, "http://test:81/b", "another origin"),
    ("subdomain", "GET", URL, 302, "http://a.test/b", "another origin"),
    ("https-to-http", "GET", SECURE, 302, URL, "from https to http"),
    ("http-to-https-elsewhere", "GET", URL, 302, "https://other/b", "another origin"),
    ("http-to-https-other-port", "GET", URL, 302, "https://test:8443/b", "another origin"),
    ("other-scheme", "GET", URL, 302, "ftp://test/b", "another origin"),
    ("scheme-relative", "GET", URL, 302, "//other/b", "another origin"),
    ("secret", "GET", URL, 302, "http://me:secret@other/?token=secret", "another origin, http://other;"),
    ("post-301", "POST", URL, 301, "/b", "a POST would become a GET"),
    ("post-302", "POST", URL, 302, "/b", "a POST would become a GET"),
    ("post-303", "POST", URL, 303, "/b", "a POST would become a GET"),
    ("put-302", "PUT", URL, 302, "/b", "a PUT would become a GET"),
    ("empty", "GET", URL, 302, "", "Location is empty or not a URL"),
    ("blank", "GET", URL, 302, "  ", "Location is empty or not a URL"),
    ("broken", "GET", URL, 302, "http://[", "Location is empty or not a URL"),
    ("broken-port", "GET", URL, 302, "http://test:x/", "Location is empty or not a URL"),
    ("broken-secret", "GET", URL, 302, "http://[/?token=secret", "Location is empty or not a URL"),
)


@pytest.mark.parametrize(("method", "url", "status", "location", "why"), NOT_FOLLOWED)
def test_redirects_that_are_refused(method: str, url: str, status: int, location: str, why: str) -> None:
    """Any other redirect is a `StatusError` with the reason, and without secrets."""
    result = run(plan(Request(method=method, url=url)), answer(status, location=location))
    error = result.failed(StatusError)
    assert (error.status_code, len(result.connects)) == (status, 1)
    assert why in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_nowhere(status: int) -> None:
    """A redirect without a `Location` is a `StatusError`."""
    assert run(plan(GET), answer(status)).failed(StatusError).status_code == status


@pytest.mark.parametrize("status", [300, 304, 305, 306])
def test_what_is_no_redirect(status: int) -> None:
    """Other 3xx are not followed, even with a `Location`."""
    assert run(plan(GET), answer(status, location="/b")).failed(StatusError).status_code == status


@pytest.mark.parametrize("location", ["http://other/b", "http://test:81/b"])
def test_another_origin_gets_no_credentials(location: str) -> None:
    """With `cross_origin_redirects=True`, a redirect to another origin is followed, and is foreign from then on."""
    result = run(
        plan(cross_origin_redirects=True),
        answer(307, location=location),
        answer(307, location="/c"),
        answer(307, location=URL),
        ok(A),
    )
    assert [step.is_foreign for step in result.connects] == [False, True, True, True]
    assert result.connects[1].request.url == location


def test_a_redirect_of_a_used_up_body() -> None:
    """A redirect of a body that can be sent only once is refused."""
    result = run(plan(Request(method="POST", url=URL, content=iter([b"x"]))), answer(307, location="/b"))
    assert "cannot be sent again" in str(result.failed(StatusError))


def test_redirects_are_bounded() -> None:
    """Twenty redirects are followed; the next one is not."""
    result = run(plan(GET), *[answer(302, location="/b")] * 20, ok(A))
    assert (result.data, len(result.connects)) == (["a"], 21)
    result = run(plan(GET), *[answer(302, location="/b")] * 21)
    assert (result.failed(StatusError).status_code, len(result.connects)) == (302, 21)


def test_a_retry_begins_at_the_first_url() -> None:
    """A retry starts at the first URL, and may be redirected as often."""
    replies = [answer(307, location=f"/{number}") for number in range(20)]
    result = run(plan(), *replies, answer(503), *replies, ok(A))
    assert result.data == ["a"]
    assert result.connects[21].request == POST


def test_a_resume_goes_on_behind_the_redirect() -> None:
    """A resume is sent to the URL of the stream after redirects, unless it has its own URL."""
    result = run(plan(resume=RESUME), answer(307, location="/b"), ok(event(1), RESET), ok(A))
    assert [step.request.url for step in result.connects] == [URL, "http://test/b", "http://test/b"]
    resume = LastEventID(url="http://test/resume")
    result = run(plan(resume=resume), answer(307, location="/b"), ok(event(1), RESET), ok(A))
    assert [step.request.url for step in result.connects] == [URL, "http://test/b", "http://test/resume"]


def test_a_foreign_stream_stays_foreign() -> None:
    """A resume on another origin is without credentials too. A retry, which starts at the first URL, is not."""
    foreign = answer(307, location="http://other/b")
    result = run(plan(resume=RESUME, cross_origin_redirects=True), foreign, ok(event(1), RESET), ok(A))
    assert [step.is_foreign for step in result.connects] == [False, True, True]
    result = run(plan(GET, cross_origin_redirects=True), foreign, answer(503), ok(A))
    assert [step.is_foreign for step in result.connects] == [False, True, False]


def test_a_resume_by_get_follows_as_a_get() -> None:
    """The method of the resume decides which redirects it follows."""
    result = run(plan(resume=LastEventID(method="GET")), ok(event(1), RESET), answer(302, location="/b"), ok(A))
    assert (result.outcome, result.connects[-1].request.url) == ("completed", "http://test/b")
