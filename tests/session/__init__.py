"""Tests of the session as tables, without a server, a clock or an event loop."""
