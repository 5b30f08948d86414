"""`python -m sse_client` is the command `sse-client`."""

import sys

from sse_client_cli import main

if __name__ == "__main__":
    sys.exit(main())
