"""The parts of the core, as tables over pure functions; how they play together is shown by the tests of the session."""
