"""After a 401, a headers function is called once more."""

from session.driver import RESET, RESUME, URL, A, answer, approx, event, ok, plan, run
from sse_client._errors import (
    StatusError,
)
from sse_client._request import Request


def test_401_asks_for_the_headers_once_more() -> None:
    """A 401 is retried once, at once, if the headers come from a function."""
    result = run(plan(can_refresh=True), answer(401), ok(A))
    assert (result.data, result.waits, len(result.connects)) == (["a"], [], 2)


def test_401_twice() -> None:
    """The second 401 in a row is raised."""
    result = run(plan(can_refresh=True), answer(401), answer(401))
    assert (result.failed(StatusError).status_code, len(result.connects)) == (401, 2)


def test_401_again_after_an_opened_stream() -> None:
    """After a stream was opened, a later 401 calls the headers function again."""
    result = run(plan(can_refresh=True, resume=RESUME), answer(401), ok(event(1), RESET), answer(401), ok(A))
    assert (result.outcome, result.waits) == ("completed", approx([1.0]))


def test_401_of_another_origin() -> None:
    """Another origin never gets the headers, so its 401 is not retried."""
    asked = plan(can_refresh=True, cross_origin_redirects=True)
    result = run(asked, answer(307, location="http://other/"), answer(401))
    assert (result.failed(StatusError).status_code, len(result.connects)) == (401, 2)


def test_401_and_a_used_up_body() -> None:
    """A body that can be sent only once is not sent again after a 401."""
    result = run(plan(Request(method="POST", url=URL, content=iter([b""])), can_refresh=True), answer(401))
    assert len(result.connects) == 1


def test_403_is_no_401() -> None:
    """No other status calls the headers function again."""
    assert len(run(plan(can_refresh=True), answer(403)).connects) == 1


def test_401_does_not_use_up_a_retry() -> None:
    """A 401 that is retried does not use up one of the retries."""
    result = run(plan(can_refresh=True), answer(401), answer(503), answer(503), ok(A))
    assert (result.data, result.waits) == (["a"], approx([0.5, 1.0]))
