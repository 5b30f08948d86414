"""Lets `doctor` examine a scripted server, through the command."""

import json
from typing import Any

from command import Done, run

from sse_client.testing import Answer, EventServer, Pause, Script

TOKENS = [f'id: {n}\ndata: {{"token": "t{n}"}}\n\n' for n in range(3)]
# A head without anything to complain about.

HEAD = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


def stream(*steps: Any, headers: dict[str, str] | None = None, **options: Any) -> Answer:
    """A healthy stream, unless the steps say otherwise: its events come one by one."""
    paced = [part for token in TOKENS for part in (token, Pause(0.03))]
    return Answer(*(steps or paced), headers={**HEAD, **(headers or {})}, **options)


def examine(script: Script, *arguments: str, path: str = "/chat") -> tuple[Done, EventServer]:
    """Let doctor examine a server of this script; return its report too."""
    with EventServer(script) as server:
        return run("doctor", f"{server.url}{path}", *arguments), server


def report_of(done: Done) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(done.out)
    return report


def levels(report: dict[str, Any]) -> dict[str, str]:
    return {finding["check"]: finding["level"] for finding in report["findings"]}


ENDLESS: dict[str, Answer] = {
    "silent": stream(TOKENS[0], Pause(30)),
    "never silent": stream(*[part for _ in range(1000) for part in (": hi\n\n", Pause(0.02))]),
    "without a length": stream(TOKENS[0], Pause(30), framing="close"),
    "with a length": stream(TOKENS[0], Pause(30), "x", framing="length"),
}
