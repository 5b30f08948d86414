"""
`doctor`: why does it not stream?

`_sources` sends one request, or reads a recording. The result is an `Exchange`: everything that was received, with its
times. A `Case` is an exchange with its body and the user's options.

`_checks` judges a case. Each check is a function without I/O that takes a case and yields findings, each `ok`, `note`,
`WARN` or `FAIL`. FAIL is only for a fault that is certain, because a model may well write in bursts. A new check goes
into the file of its area (head, times, content, reply), or into one of its own that the area lists in its `CHECKS`.

`_probes` sends more requests if the user asks for them, and compares their exchanges. `_reports` writes the findings
and a timeline: as text, as JSON, as a page and as a picture.
"""

from ._run import doctor

__all__ = ["doctor"]
