"""
The prose that users and developers read: phrases that must not come back, and the name of the distribution.

Phrases, not words: "behind a proxy" and "the folder where pytest looks" are English. The rules are in CONTRIBUTING.
"""

import io
import re
import tokenize
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# The docstrings of tests are left out: a test may be about a phrase.
PATTERNS = ("*.md", ".github/*.md", "docs/**/*.md", "*.py", "examples/**/*.py", "benchmarks/*.py", "sse_client/**/*.py")
PAGES = sorted({path for pattern in PATTERNS for path in ROOT.glob(pattern)})

# Regular expressions, by what to write instead.
PHRASES = {
    "after": [
        r"\bbehind (?:it|that|this|them|which|so many|each|every|all)\b",
        r"\bbehind the (?:last|first|second|end|cut|one|event|blank|terminator|head)\b",
        r"\bon behind\b",
        r"\bfrom behind\b",
        r"\b(?:is|was|are|comes|came|lies|stands) behind\b(?! (?:an?|the|your) )",
    ],
    "resume, reconnect": [
        r"\b(?:take|takes|taken|taking|took)(?: \w+){0,4} up again\b",
        r"\b(?:go|goes|going) on where\b",
        r"\b(?:come|comes|came|coming) back (?:by itself|after|behind|with|whenever|all at once)\b",
    ],
    "cleanly": [r"\bin good order\b"],
    "how it is handled": [
        r"\b[Ww]hat becomes? of\b",
        r"\b[Ww]hat there is (?:to|of)\b",
        r"\b[Ww]hat (?:it|they|a \w+|the \w+) (?:come|comes|has come|have come) to\b",
        r"\b[Aa]ll that there is to\b",
    ],
    "in response to; returned; response": [
        r"\banswered (?:to|by|with) (?:an?|the|it)\b",
        r"\banswered \d",
        r"\b(?:events|answers?) that (?:is|are) (?:answered|no)\b",
    ],
    "the user, the server, another thread": [
        r"\bfor who(?:ever)? \w+s\b",
        r"\b[Ww]hoever\b",
        r"\b(?:some|no)body (?:can|could|may|has|had|is|was|closed|does|waits|asks|who|else)\b",
        r"\bby (?:some|no)body\b",
    ],
    "is not": [
        r"(?<!there )\b(?:is|are|was|were|be) none\b(?! of)",
        r"\b(?:is|are|was|were) no (?:event|JSON|HTTP|URL|text|answer|error|field|number|terminator|part|complete)\b",
        r"\b(?:that|which|it) (?:is|was) no (?:stream|socket|name|\w+ stream)\b",
    ],
    "if, when": [
        r"\bwhere (?:there (?:is|are)|it (?:is|was|does|has|can)|they (?:are|do)|one is|none is|nobody|nothing)\b",
        r"\b(?:None|none|code`) where\b",
    ],
    "a number": [r"\b(?:for|after|up to|by|of|behind) so (?:many|much)\b(?! (?:that|as))"],
    "by itself; for example": [r"\bof its own accord\b", r"\b(?:for|in) an? \w+, say\b"],
}
PATTERN = re.compile("|".join(phrase for phrases in PHRASES.values() for phrase in phrases))


def prose_of(path: Path) -> str:
    """The text of a page, or the strings and comments of a Python file, in one line and without code in backticks."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        kinds = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
        text = " ".join(token.string.lstrip("#") for token in tokens if token.type in kinds)
    else:
        text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        text = re.sub(r"^\| avoid \|.*?\n\n", "", text, flags=re.DOTALL | re.MULTILINE)  # the table of CONTRIBUTING
    return re.sub(r"`[^`\n]*`", "`code`", re.sub(r"\s+", " ", text))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_phrases(path: Path) -> None:
    """No text contains a phrase that a reader must read twice and that was once common here."""
    assert [match[0] for match in PATTERN.finditer(prose_of(path))] == []


@pytest.mark.parametrize(
    "text",
    [
        "a broken stream is taken up again only with resume=, behind the last event",
        "the server stops early, in good order",
        "unknown says what becomes of an event",
        "for who listens",
        "None where nobody does",
        "Wait for so many seconds.",
        "the answer is no HTTP",
        "Server-sent events answered to a POST",
    ],
)
def test_phrases_are_found(text: str) -> None:
    """Sentences that must not come back are found."""
    assert PATTERN.search(text)


@pytest.mark.parametrize(
    "text",
    [
        "behind a proxy",
        "there is no limit",
        "the folder where pytest looks",
        "so many that it fails",
        "the value is None",
    ],
)
def test_english_passes(text: str) -> None:
    """Ordinary English passes."""
    assert not PATTERN.search(text)


def test_name_of_the_distribution() -> None:
    """The distribution is called sse-client-sdk, because PyPI refuses names as similar to sseclient as sse-client."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"] == "sse-client-sdk"


# `sse-client` as the name of a distribution: with an extra, or after a command that installs or runs one.
OLD_NAME = re.compile(
    r"\bsse[-_]client\[[a-z]"
    r"|\b(?:pip3? install|pipx (?:install|run)|uvx|uv (?:add|pip install|tool (?:install|run))|poetry add|pdm add)\b"
    r"[^\n`]*[ '\"]sse[-_]client(?![-\w])"
)
SETTINGS = [*ROOT.glob("*.toml"), *ROOT.glob("*.yml"), *ROOT.glob(".ci/*"), *ROOT.glob(".github/workflows/*.yml")]


@pytest.mark.parametrize("path", [*PAGES, *sorted(path for path in SETTINGS if path.is_file())], ids=name_of)
def test_commands_to_install(path: Path) -> None:
    """Every text that says how to install the package, or names one of its extras, uses the distribution's name."""
    assert OLD_NAME.findall(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "is_old"),
    [
        ("pip install sse-client", True),
        ("install it: pip install 'sse_client[httpx2]'", True),
        ("needs sse-client[cli]", True),
        ("uvx sse-client post :8000", True),
        ("uv add --dev sse-client", True),
        ("pip install sse-client-sdk", False),
        ("pip install 'sse-client-sdk[httpx2]'", False),
        ("`pip install sse-client-sdk` installs `sse_client`, and the command sse-client", False),
        ("SSEClient[int], sse_client.testing", False),
    ],
)
def test_old_names_are_found(text: str, is_old: bool) -> None:
    """The name of the product is taken for that of the distribution only if it is installed, or has an extra."""
    assert bool(OLD_NAME.search(text)) == is_old
