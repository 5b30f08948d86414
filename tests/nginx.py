"""
A real nginx in front of a server of the tests. It needs no privileges: it writes only to one folder.

It inherits its listening socket, which is how nginx replaces itself without a gap. So its port is free, and a client
may connect before nginx has started.
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

PROGRAM = shutil.which(
    "nginx", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
)

CONFIGURATION = """\
daemon off;
{user}worker_processes 1;
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    gzip_types text/event-stream;
    server {{
        listen 127.0.0.1:{port};
{locations}
    }}
}}
"""

# nginx buffers a response over HTTP/1.0, long the default, until 4 or 8 KiB are full or it is over; a chunked one over
# HTTP/1.1 only if it compresses it.
HTTP_1_1 = 'proxy_http_version 1.1; proxy_set_header Connection "";'

# By the first part of the path.
LOCATIONS = {
    "healthy": f"{HTTP_1_1} proxy_buffering off;",
    "healthy-gzip": f"{HTTP_1_1} proxy_buffering off; gzip on;",
    "buffered": "proxy_http_version 1.0;",
    "buffered-gzip": f"{HTTP_1_1} gzip on;",
    "impatient": f"{HTTP_1_1} proxy_buffering off; proxy_read_timeout 1s;",
}


class Nginx:
    """nginx in front of the server on a port, with a location for each of its faults."""

    def __init__(self, folder: Path, backend: int) -> None:
        self._folder = folder
        self._backend = backend
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def url(self, location: str) -> str:
        """Return the URL of a location and a path of the server: `healthy/chat`."""
        return f"http://127.0.0.1:{self.port}/{location}"

    def __enter__(self) -> Self:
        assert PROGRAM is not None
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            locations = "\n".join(
                f"        location /{name}/ {{ proxy_pass http://127.0.0.1:{self._backend}/; {settings} }}"
                for name, settings in LOCATIONS.items()
            )
            configuration = self._folder / "nginx.conf"
            configuration.write_text(
                CONFIGURATION.format(
                    user="user root;\n" if os.geteuid() == 0 else "",
                    folder=self._folder,
                    port=self.port,
                    locations=locations,
                ),
                encoding="utf-8",
            )
            self._process = subprocess.Popen(
                [PROGRAM, "-p", str(self._folder), "-e", str(self._folder / "errors"), "-c", str(configuration)],
                env={**os.environ, "NGINX": f"{listener.fileno()};"},
                pass_fds=[listener.fileno()],
            )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(10)
