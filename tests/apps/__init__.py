"""The five applications of `examples/apps`: each over a real socket, including the faults that its users meet."""

import sys
from pathlib import Path

APPS = Path(__file__).parents[2] / "examples" / "apps"

# The folder of an example's own imports when it is run as a script.
sys.path.insert(0, str(APPS))
