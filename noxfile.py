"""
The checks of this project, each in an environment of its own.

`nox` runs lint, types and fast; `nox -s full` also runs the long proofs. Arguments after `--` go to pytest:
`nox -s fast -- tests/test_parser.py`.
"""

import nox

nox.needs_version = ">=2024.4.15"
nox.options.sessions = ["lint", "types", "fast"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """Check format and style."""
    session.install("-e", ".[dev]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright, both strict."""
    session.install("-e", ".[dev]")
    session.run("mypy")
    session.run("pyright")


@nox.session
def fast(session: nox.Session) -> None:
    """Run all tests except the long proofs."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """Run all tests, then the long proofs with a new random seed."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "pytest", *session.posargs)
    session.run("python", "-m", "pytest", "tests/reliability", env={"SSE_CLIENT_PROOF": "long"})
