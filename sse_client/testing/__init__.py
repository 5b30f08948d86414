"""
What a test of an event stream needs: a scripted server on a real socket, and the inverse of the parser.

Nothing here waits longer than its script says, and nothing of it is imported by the rest of the package.
"""

from sse_client.testing._encode import encode
from sse_client.testing._server import FIN, RST, Answer, EventServer, Pause, RecordedRequest

__all__ = ["FIN", "RST", "Answer", "EventServer", "Pause", "RecordedRequest", "encode"]
