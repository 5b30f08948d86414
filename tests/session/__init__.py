"""Tests of the session as tables: no server, no clock, no event loop."""
