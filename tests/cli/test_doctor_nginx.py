"""`doctor` before a real nginx: it names each of its faults, and finds none where there is none."""

import json
from typing import Any

import pytest
from command import run
from nginx import Nginx
from uvicorn_server import UvicornServer

# For longer than a reader waits without missing anything: what is shorter than that is not judged.
LONG = "count=12&silence=1.2"

# The location, the options, and by its check the cure of the fault.
FAULTY: dict[str, tuple[str, tuple[str, ...], dict[str, str]]] = {
    "buffered": (f"buffered/chat?{LONG}", (), {"buffering": "`proxy_buffering off;` or send `X-Accel-Buffering: no`"}),
    "compressed": (
        f"buffered-gzip/chat?{LONG}",
        (),
        {
            "content-encoding": "nginx: remove text/event-stream from `gzip_types`",
            "buffering": "nginx: remove text/event-stream from `gzip_types`",
        },
    ),
    "an impatient nginx": ("impatient/chat?count=3&silence=9", (), {"end": "a time limit"}),
    "slower than the origin": (
        f"buffered/chat?{LONG}",
        ("--compare", f"{{origin}}/chat?{LONG}"),
        {"buffering": "`proxy_buffering off;`", "compare": "`proxy_buffering off;`"},
    ),
}
HEALTHY = ["healthy/chat", "healthy-gzip/chat", "buffered/chat?accel=no", "buffered-gzip/chat?accel=no"]


def found(report: bytes, *levels: str) -> dict[str, dict[str, Any]]:
    """The findings of these levels, by their checks."""
    return {each["check"]: each for each in json.loads(report)["findings"] if each["level"] in levels}


@pytest.mark.parametrize("name", FAULTY)
def test_faults(name: str, nginx: Nginx, uvicorn_server: UvicornServer) -> None:
    """Each fault of nginx is a FAIL of its check, with the cure for nginx, and exits 1."""
    location, options, cures = FAULTY[name]
    options = tuple(each.replace("{origin}", uvicorn_server.url) for each in options)
    done = run("doctor", nginx.url(location), "--json", *options)
    failed = found(done.out, "FAIL")
    assert (done.code, {*failed}) == (1, {*cures}), done
    assert all(cure in failed[check]["cure"] for check, cure in cures.items())
    assert "proxy_read_timeout" in found(done.out, "ok", "note", "WARN")["keep-alive"]["evidence"]


@pytest.mark.parametrize("location", HEALTHY)
def test_health(location: str, nginx: Nginx) -> None:
    """Where nginx lets events through, there is neither a FAIL nor a WARN, compressed or not."""
    done = run("doctor", nginx.url(location), "--json", "--strict", "--until", "done")
    assert (done.code, found(done.out, "FAIL", "WARN")) == (0, {})
    is_compressed = "gzip" in location
    assert ("gzip" in found(done.out, "ok")["content-encoding"]["evidence"]) == is_compressed
