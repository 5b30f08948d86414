"""The command `sse-client`: in this process, as a process, and with real servers."""
