"""All tables hold twice."""

import pytest

from session.driver import Scene


@pytest.fixture(autouse=True, params=["asking", "hurrying"])
def _shell(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it holds for a shell that asks before each read, and for one that does not ask what it knows."""
    monkeypatch.setattr(Scene, "hurries", request.param == "hurrying")
