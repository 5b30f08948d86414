"""The five applications of `examples/apps`: each over a real socket, also with the faults that its users meet."""

import sys
from pathlib import Path

APPS = Path(__file__).parents[2] / "examples" / "apps"

# Where an example's own imports come from when it is run as a script.
sys.path.insert(0, str(APPS))
