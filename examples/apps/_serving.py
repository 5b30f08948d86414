"""Shared by the examples: serve a FastAPI app on a free port for the duration of a `with` block."""

import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI


@contextmanager
def running(app: FastAPI) -> Generator[str]:
    """Serve the app on 127.0.0.1, in a thread, and yield its URL. Requests that still run at the end are cut off."""
    # The socket listens before the server is up, so that an early request waits a moment instead of being refused.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=0)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
