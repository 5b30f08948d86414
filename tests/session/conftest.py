"""Runs every test of the session twice."""

import pytest

from session.driver import Scene


@pytest.fixture(autouse=True, params=["asking", "hurrying"])
def _shell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Run each test with a shell that asks before each read, and with one that reads on while the session is reading.
    """
    monkeypatch.setattr(Scene, "hurries", request.param == "hurrying")
