"""
`doctor`: why does it not stream?

One request is made (`_observe`), or a recording is read (`_recording`): the result is an `Exchange`, everything that
came with its times. The checks are functions without I/O, from a `Case` to findings: the head (`_head`, with the
proxies of `_via`), the times (`_time`), the body (`_content`) and the reply (`_reply`). `_probes` makes more requests if
that was asked for, and compares their exchanges. `_report` writes the findings for people and for programs, `_html` and
`_svg` to attach to a ticket; the timeline of all of them is `_timeline`'s.

A check yields `ok`, `note`, `WARN` or `FAIL`. FAIL is only for a fault that is certain: a model may well write in
bursts.
"""

from ._run import doctor

__all__ = ["doctor"]
