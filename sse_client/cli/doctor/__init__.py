"""
`doctor`: why does it not stream?

One request is made (`_observe`), or a recording is read (`_recording`). The result is an `Exchange`: everything that
came back, with its times. The checks are functions without I/O, from a `Case` to findings, about the head of the
response (`_head`), the times (`_time`), the body (`_content`) and the reply (`_reply`); `_diagnosis` runs them all.
`_probes` makes more requests if that was asked for, and compares their exchanges. `_report` writes the findings for
people and for programs, `_html` and `_svg` to attach to a ticket. All of them show the timeline of `_timeline`.

A check yields `ok`, `note`, `WARN` or `FAIL`. FAIL is only for a fault that is certain, because a model may well write
in bursts.
"""

from ._run import doctor

__all__ = ["doctor"]
