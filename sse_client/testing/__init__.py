"""
Tools to test event streams: scripted servers and transports, faults, cassettes, and an encoder.

A script is an `Answer`, or a function that returns one. `EventServer` plays it on a real socket, `scripted_transport`
without a socket and without waiting. `Faults` adds the faults of real networks. The rest of the package imports nothing
from here. The fixtures of the pytest plugin are `sse_server`, `sse_transport` and `sse_cassette`.
"""

from sse_client._shells.recording import Recorder
from sse_client.testing._cassette import Connection, read_cassette, record, replay, write_cassette
from sse_client.testing._encode import encode
from sse_client.testing._faults import Faults
from sse_client.testing._script import FIN, RST, Answer, Pause, RecordedRequest, Script, pings, resumable
from sse_client.testing._server import EventServer
from sse_client.testing._transport import ScriptedTransport, scripted_transport

__all__ = [
    "FIN",
    "RST",
    "Answer",
    "Connection",
    "EventServer",
    "Faults",
    "Pause",
    "RecordedRequest",
    "Recorder",
    "Script",
    "ScriptedTransport",
    "encode",
    "pings",
    "read_cassette",
    "record",
    "replay",
    "resumable",
    "scripted_transport",
    "write_cassette",
]
