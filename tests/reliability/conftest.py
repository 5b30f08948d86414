"""The fixtures of the proofs, and the table of their results."""

import random
from pathlib import Path

import pytest

from reliability.proof import LONG, SEED, Ledger, table

HERE = Path(__file__).parent

ledgers: dict[str, Ledger] = {}


@pytest.fixture
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """The numbers of the test's own proof, which its parameters share."""
    module, function = request.path.stem, request.function.__name__
    name = f"{module} {function}".replace("test_", "").replace("_", " ")
    return ledgers.setdefault(name, Ledger())


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers that are the same for a test of one name and seed; the head of the table shows the seed."""
    return random.Random(f"{SEED} {request.node.name}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a long proof more time than other tests."""
    for item in items:
        if LONG and HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(1800))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table if a proof was run."""
    if ledgers:
        terminalreporter.section(f"reliability ({'long' if LONG else 'short'}, SSE_CLIENT_PROOF_SEED={SEED})")
        for line in table(ledgers):
            terminalreporter.line(line)
