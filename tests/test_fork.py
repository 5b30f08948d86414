"""
A fork in the middle of a stream: the parent's streams continue as if there had been none, and the child has its own.

The program that forks is `forking.py`, in its own process, because pytest's process has many threads.
"""

import json
import math
import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
import trustme

from sse_client.testing import Answer, EventServer, Pause, RecordedRequest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

PROGRAM = Path(__file__).with_name("forking.py")

DATA = [str(number) for number in range(10)]
# The rest of a clock of 0.5 s at the fork passes while the longer one is read.
PAUSES = {"/short": 0.03, "/long": 0.1}


def answer(request: RecordedRequest) -> Answer:
    if request.target == "/silent":
        return Answer(Pause(math.inf))
    pause = Pause(PAUSES[request.target])
    return Answer(*[step for number in DATA for step in (f"data: {number}\n\n", pause)], "data: [DONE]\n\n")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


Run: TypeAlias = Callable[[str, str], list[object]]


@pytest.fixture(params=[("tcp", "httpx"), ("tls", "httpx2")], ids="-".join)
def run(request: pytest.FixtureRequest, authority: trustme.CA, tmp_path: Path) -> Iterator[Run]:
    """Run the program; it returns the output, each line parsed as JSON."""
    wire, library = request.param
    context, ca = None, []
    if wire == "tls":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        path = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(str(path))
        ca = [str(path)]
    with EventServer(answer, ssl_context=context) as server:

        def run(who: str, what: str) -> list[object]:
            path = "/long" if what == "use_a_clock" else "/short"
            done = subprocess.run(
                # From 3.12 on a fork in a process with threads is a DeprecationWarning.
                [sys.executable, "-W", "ignore", str(PROGRAM), who, what, server.url, path, library, *ca],
                capture_output=True,
                text=True,
                timeout=40,
            )
            assert (done.stderr, done.returncode) == ("", 0)
            return [json.loads(line) for line in done.stdout.splitlines()]

        yield run


UNAFFECTED = {"data": DATA, "outcome": "completed", "child": 0}


@pytest.mark.parametrize("who", ["other", "multiprocessing", "locked"])
@pytest.mark.parametrize("run", [("tcp", "httpx")], indirect=True, ids="-".join)
def test_the_child_s_clocks_are_its_own(run: Run, who: str) -> None:
    """A clock in the child runs out, even after an untimely fork, and does not affect the parent's connections."""
    assert run(who, "use_a_clock") == [UNAFFECTED]


@pytest.mark.parametrize(
    ("run", "who", "what"),
    [
        (("tcp", "httpx"), "reader", "leave"),
        (("tcp", "httpx"), "other", "close_client"),
        (("tls", "httpx2"), "reader", "collect"),
        (("tls", "httpx2"), "reader", "leave"),
        (("tls", "httpx2"), "reader", "close"),
        (("tls", "httpx2"), "other", "leave"),
        (("tls", "httpx2"), "other", "close_client"),
    ],
    indirect=["run"],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else value,
)
def test_the_child_lets_go(run: Run, who: str, what: str) -> None:
    """If the child collects, leaves or closes an inherited stream, the parent's stream continues."""
    assert run(who, what) == [UNAFFECTED]


@pytest.mark.parametrize("run", [("tcp", "httpx")], indirect=True, ids="-".join)
def test_the_child_reads(run: Run) -> None:
    """A child that reads an inherited stream takes only its own reads from the parent."""
    taken, rest = run("reader", "read")
    assert isinstance(taken, str)
    assert rest == {**UNAFFECTED, "data": [number for number in DATA if number != taken]}
