"""What must never be recorded: a word that is in all of it is not in anything exported."""

import json
import logging
from typing import Any

import httpx
import pytest
from shells import Shell

from otel.recorded import DONE, URL, Recorded, each_shell
from sse_client import ErrorEvent, LastEventID, RetryPolicy, Terminator, Timeouts
from sse_client.dialects import OPENAI_CHAT
from sse_client.testing import RST, Answer, Pause, Script, scripted_transport

CANARY = "canary"
SPOKEN = f"{CANARY}, said the server"
HEADERS: dict[str, str | None] = {"X-Secret": CANARY, "Set-Cookie": f"session={CANARY}", "X-Request-ID": CANARY}

BLOCK = f": {CANARY}\nid: {CANARY}1\nevent: {CANARY}\ndata: {CANARY}\nretry: 10\n{CANARY}: {CANARY}\n\n"
DELTA = "data: " + json.dumps(
    {
        "id": "r1",
        "model": "m",
        "system_fingerprint": CANARY,
        "choices": [{"index": 0, "delta": {"role": CANARY, "content": CANARY}, "finish_reason": CANARY}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, CANARY: CANARY},
    }
)
ERROR = json.dumps({"error": {"code": SPOKEN, "type": SPOKEN, "message": SPOKEN}, CANARY: CANARY})
JSON: dict[str, str | None] = {**HEADERS, "Content-Type": "application/json"}


def raising(_: object) -> Answer:
    raise ConnectionResetError(SPOKEN)


def answer(*steps: Any, **options: Any) -> Answer:
    return Answer(*steps, **{"headers": HEADERS, **options})


RESUME = LastEventID(retry=RetryPolicy(max_retries=2, jitter=0.0))
TABLE: dict[str, tuple[list[Script], dict[str, Any]]] = {
    "completed": ([answer(BLOCK, DONE)], {}),
    "resumed": ([answer(BLOCK, RST), answer(BLOCK.replace(f"{CANARY}1", f"{CANARY}2"), DONE)], {"resume": RESUME}),
    "resumes in vain": ([answer(BLOCK, RST), answer(ERROR, status=500, headers=JSON)], {"resume": RESUME}),
    "truncated": ([answer(BLOCK)], {"terminator": Terminator(data="end")}),
    "timeout": ([answer(BLOCK, Pause(99))], {"timeout": Timeouts(idle=1)}),
    "error event": ([answer(BLOCK, f"data: {ERROR}\n\n")], {"errors": ErrorEvent(field="error")}),
    "error outside events": ([answer(BLOCK, f"error: {ERROR}\n\n")], {}),
    "transient error event": (
        [answer(f"data: {ERROR}\n\n"), answer(BLOCK, DONE)],
        {"errors": ErrorEvent(field="error", retry={SPOKEN})},
    ),
    "status": ([answer(ERROR, status=401, headers=JSON)], {}),
    "media type": ([answer(ERROR, headers=JSON)], {}),
    "no connection": ([raising], {"retry": None}),
    "retried": ([raising, answer(ERROR, status=503, headers=JSON), answer(BLOCK, DONE)], {}),
    "redirect": ([answer(status=307, headers={"Location": f"/chat?token={CANARY}"}), answer(BLOCK, DONE)], {}),
    "refused redirect": ([answer(status=307, headers={"Location": f"http://{CANARY}/?token={CANARY}"})], {}),
    "reply": ([answer(f"{DELTA}\n\n", DONE)], {"dialect": OPENAI_CHAT}),
    "no JSON": ([answer(f"data: {CANARY}\n\n", DONE)], {"dialect": OPENAI_CHAT}),
    "event too large": ([answer(BLOCK, f"data: {CANARY * 900}")], {"max_event_size": 1000}),
}


@each_shell
@pytest.mark.parametrize("name", TABLE)
def test_canary(shell: Shell, name: str, recorded: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    """No header, query, user, body, event, ID, comment or message of the server is exported, however a stream ends."""
    scripts, options = TABLE[name]
    caplog.set_level(logging.DEBUG, logger="sse_client")
    try:
        shell.read(
            f"http://{CANARY}:{CANARY}@test/chat?token={CANARY}#{CANARY}",
            params={"key": CANARY},
            headers={"Authorization": f"Bearer {CANARY}", "X-Token": CANARY},
            cookies={"session": CANARY},
            json={"model": "m", "messages": [CANARY], CANARY: CANARY},
            last_event_id=f"{CANARY}0",
            **{"retry": RetryPolicy(jitter=0.0, retry_ambiguous=True), **options},
            **recorded.arguments(scripted_transport(*scripts), operation="chat", provider="openai", chunks=True),
        )
    except ValueError:
        assert name == "no JSON"
    exported = recorded.exported()
    assert "sse_client.outcome" in exported
    assert CANARY not in exported.lower()
    assert not [record for record in caplog.records if "telemetry" in record.getMessage()]


def test_the_canary_sings(recorded: Recorded) -> None:
    """The search finds what is recorded: the model, the path, and the code of an error if it is a short word."""
    transport = scripted_transport(Answer(f'data: {{"error": {{"code": "{CANARY}-code"}}}}\n\n'))
    Shell("sync", httpx).read(
        f"{URL}/{CANARY}-path",
        json={"model": f"{CANARY}-model"},
        errors=ErrorEvent(field="error"),
        **recorded.arguments(transport, operation="chat", provider="openai"),
    )
    assert all(f"{CANARY}-{what}" in recorded.exported() for what in ("code", "path", "model"))
