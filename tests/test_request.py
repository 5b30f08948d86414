"""How a request is named in texts: by its method, host and path, and never by a possible secret."""

import pytest

from sse_client import Request
from sse_client._request import public_url


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://host/chat", "http://host/chat"),
        ("https://host:8443/a/b", "https://host:8443/a/b"),
        ("http://host", "http://host"),
        ("http://host:/x", "http://host:/x"),
        ("http://[::1]:8000/x", "http://[::1]:8000/x"),
        ("/chat", "/chat"),
        ("chat", "chat"),
        ("", ""),
        ("localhost:8000/chat", "localhost:8000/chat"),
        ("ftp://host/x", "ftp://host/x"),
        # A query and a fragment.
        ("http://host/chat?key=secret", "http://host/chat"),
        ("http://host/chat#secret", "http://host/chat"),
        ("http://host/chat#secret?secret", "http://host/chat"),
        ("http://host?secret", "http://host"),
        ("http://host#secret", "http://host"),
        ("/chat?key=secret#secret", "/chat"),
        ("?key=secret", ""),
        ("http://host/chat?to=secret@secret", "http://host/chat"),
        # A user.
        ("http://user:secret@host/chat", "http://host/chat"),
        ("http://secret@host:1/chat", "http://host:1/chat"),
        ("http://user:sec@ret@host/chat", "http://host/chat"),
        ("//user:secret@host/chat", "//host/chat"),
        ("user:secret@host/chat", "host/chat"),
        # A path may have an at sign.
        ("http://host/@user", "http://host/@user"),
        ("http://host:8000/chat?to=me@example.org", "http://host:8000/chat"),
        ("/users/@me", "/users/@me"),
        # A character that ends a host may be in a password: then the host cannot be told from it.
        ("http://user:sec/ret@host/", "http://…"),
        ("http://user:sec?ret@host/", "http://…"),
        ("http://user:sec#ret@host/", "http://…"),
        ("http://user:sec/re?t@host/chat", "http://…"),
        ("http://user:sec@re/t@host/chat", "http://…"),
        ("http://user:12sec/34@host/chat", "http://…"),
        ("http://user:1234/5678@host/chat", "http://…"),
        ("http://host:8000/@user", "http://…"),
        ("http:///user:secret@host/chat", "http://…"),
        ("user:sec/ret@host/chat", "…"),
        ("http://user:secret@host/chat?to=me@example.org", "http://…"),
    ],
)
def test_public_url(url: str, named: str) -> None:
    """A URL is named without its user, query and fragment, or only by its scheme if these cannot be told apart."""
    assert public_url(url) == named


def test_repr() -> None:
    """A request's repr shows its method and public URL, and no possible secret."""
    request = Request(
        method="POST",
        url="http://user:secret@host/chat?key=secret",
        params={"key": "secret"},
        headers={"Authorization": "secret"},
        cookies={"session": "secret"},
        json={"message": "secret"},
        auth=("user", "secret"),
    )
    assert repr(request) == "<Request POST http://host/chat>"
