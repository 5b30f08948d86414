"""The parts of the core, as tables over pure functions. The tests of the session show how they work together."""
