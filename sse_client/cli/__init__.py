"""
The commands of `sse-client`, each a user of the package's public names.

`sse_client_cli`, a module beside the package, parses the arguments; `run` here carries them out. A command makes a
stream (`_request`, `_reading`, `_replay`), and `_show` reads it: each event goes to one of the outputs (`_output`,
`_pretty`), everything else to `_notes`, on standard error.
"""

from ._commands import run

__all__ = ["run"]
