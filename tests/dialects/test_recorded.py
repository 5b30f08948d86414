"""The recorded streams that lie beside the checkout, if they do: each comes to what is expected of it."""

import pytest

from sse_client.dialects import Data

from .expected import DIALECTS, check_expected
from .playing import STREAMS, check, cuts, expectations, outline, play_pieces, recorded

NAMES = sorted(name for folder in DIALECTS for name in recorded(folder))
pytestmark = pytest.mark.skipif(not STREAMS.exists(), reason="the recorded streams are not part of the repository")


@pytest.mark.parametrize("name", NAMES)
def test_as_expected(name: str) -> None:
    """A recorded stream comes to the text, the calls, the reason and the usage that its own SDK finds, in any cut."""
    dialect = DIALECTS[name.partition("/")[0]]
    data = (STREAMS / name).read_bytes()
    outlines = []
    for pieces in cuts(data):
        reply = play_pieces(dialect, pieces)
        check(reply)
        check_expected(reply, expectations()[name])
        outlines.append((outline(reply.message), reply.kinds))
    assert all(each == outlines[0] for each in outlines)


@pytest.mark.parametrize("name", NAMES)
def test_no_delta_is_unknown(name: str) -> None:
    """In a recorded stream nothing is unknown to its dialect."""
    dialect = DIALECTS[name.partition("/")[0]]
    reply = play_pieces(dialect, [(STREAMS / name).read_bytes()])
    # The end of an item that was announced as a part.
    kinds = {delta.kind for delta in reply.deltas if isinstance(delta, Data)}
    assert kinds <= {"response.output_item.done"}


@pytest.mark.parametrize("name", NAMES)
def test_a_cut_after_each_event(name: str) -> None:
    """A stream that ends cleanly after any of its events is complete only if nothing but the usage can be missing."""
    dialect = DIALECTS[name.partition("/")[0]]
    data = (STREAMS / name).read_bytes()
    whole = play_pieces(dialect, [data])
    blocks = data.replace(b"\r\n", b"\n").split(b"\n\n")
    for count in range(len(blocks)):
        reply = play_pieces(dialect, [b"".join(block + b"\n\n" for block in blocks[:count])])
        check(reply)
        if reply.is_complete:
            assert reply.message.text == whole.message.text
            assert reply.message.reasoning == whole.message.reasoning
            assert [call.arguments for call in reply.message.tool_calls] == [
                call.arguments for call in whole.message.tool_calls
            ]
            assert reply.message.finish_reason == whole.message.finish_reason
        else:
            assert not reply.message.ended_well
