"""
A stream that outlives its reader: the ID of the last event is saved, and a new process resumes after it.

Within one process, `resume=` resumes the stream when its connection is lost. Across processes, use `last_event_id`:
save it after you processed an event, and pass it the next time.

Run it, offline: `python examples/resuming.py`.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from sse_client import LastEventID, SSEClient, Terminator
from sse_client.testing import FIN, Answer, EventServer, RecordedRequest

CHAPTERS = ("one", "two", "three", "four", "five", "six")

# A body that ends without it is resumed too: some proxies close a response cleanly although the server died.
DONE = Terminator(data="[DONE]")


def read(request: RecordedRequest) -> Answer:
    """The server: all chapters after the ID that the client sent. After two of them the connection breaks."""
    first = int(request.headers.get("last-event-id", "0"))
    events = [f"id: {number}\nretry: 50\ndata: {CHAPTERS[number - 1]}\n\n" for number in range(first + 1, 7)]
    return Answer(*events[:2], FIN) if len(events) > 2 else Answer(*events, "data: [DONE]\n\n")


def reader(url: str, bookmark: Path, limit: int) -> None:
    """One process: resume after the previous one, and stop after `limit` chapters."""
    saved = bookmark.read_text() if bookmark.exists() else ""
    with (
        SSEClient() as client,
        client.post(url, last_event_id=saved, terminator=DONE, resume=LastEventID()) as stream,
    ):
        for count, event in enumerate(stream, 1):
            print(f"process {os.getpid()} reads {event.data}", flush=True)
            if count == limit:
                break
    # The block was left without an error, so the last event counts as finished.
    bookmark.write_text(stream.last_event_id)
    print(f"  {stream.stats.connections} connections, up to {stream.last_event_id}", flush=True)


def main() -> None:
    with EventServer(read) as server, tempfile.TemporaryDirectory() as folder:
        bookmark = Path(folder) / "last-event-id"
        for limit in ("3", "99"):
            subprocess.run([sys.executable, __file__, server.url, bookmark, limit], check=True)  # noqa: S603


if __name__ == "__main__":
    if len(sys.argv) == 4:
        reader(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
    else:
        main()
