"""
The check before a release: `python .ci/release.py [TAG]` lists every reason not to publish, and fails if there is one.

The release workflow runs it before it builds anything; with its tag, such as `v0.1.0`. It needs nothing but Python.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

# Projects on PyPI whose names are near. The first two install a module `sseclient`, and people will mistype.
NEIGHBORS = (
    *("sseclient", "sseclient-py", "httpx-sse", "aiohttp-sse-client", "aiohttp-sse-client2", "requests-sse"),
    *("launchdarkly-eventsource", "sse-starlette", "httpx2", "httpx-aiohttp"),
)
LABELS = {"Documentation", "Source", "Changelog", "Issues"}

# Reserved by RFC 2606: an address there is one that is not known yet.
PLACEHOLDER = re.compile(r"\bexample\.(?:com|net|org)\b")


def folded(name: str) -> str:
    """
    Fold a name as PyPI does when a project is registered: it refuses one that equals an existing one when folded.

    Case and separators do not count, `l` and `i` are read as `1`, and `o` as `0`.
    """
    return re.sub(r"[._-]", "", name.lower()).translate(str.maketrans("lio", "110"))


def reasons(root: Path, tag: str | None = None) -> Iterator[str]:
    """Yield each reason not to publish the project in a folder, with the tag of the release if there is one."""
    settings: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project = settings["project"]
    module = (root / "sse_client" / "_version.py").read_text(encoding="utf-8")
    [version] = re.findall(r'^__version__ = "(.*)"$', module, re.MULTILINE)
    yield from _of_the_name(project)
    yield from _of_the_addresses(root, settings)
    yield from _of_the_version(version, tag)
    yield from _of_the_changelog((root / "CHANGELOG.md").read_text(encoding="utf-8"), version)


def _of_the_name(project: dict[str, Any]) -> Iterator[str]:
    name = project["name"]
    for neighbor in NEIGHBORS:
        if folded(name) == folded(neighbor):
            yield f"the name {name!r} equals {neighbor!r} for PyPI: both become {folded(name)!r}"
    scripts = project.get("scripts", {})
    if name not in scripts:
        yield f"no command is called {name!r}, so `uvx {name}` finds none"
    if len(set(scripts.values())) > 1:
        yield f"the commands {', '.join(scripts)} are not the same program"


def _of_the_addresses(root: Path, settings: dict[str, Any]) -> Iterator[str]:
    urls: dict[str, str] = settings["project"].get("urls", {})
    if missing := LABELS - urls.keys():
        yield f"pyproject.toml has no URL for {', '.join(sorted(missing))}"
    for label, url in urls.items():
        if PLACEHOLDER.search(url):
            yield f"the URL {label!r} is a placeholder: {url}"
    source = urls.get("Source", "").rstrip("/")
    for each in settings["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        if f"]({source}/" not in each["replacement"]:
            yield f"the links of the README do not go to {source}: {each['replacement']}"
    if PLACEHOLDER.search((root / ".github/SECURITY.md").read_text(encoding="utf-8")):
        yield "SECURITY.md has a placeholder as an address"


def _of_the_version(version: str, tag: str | None) -> Iterator[str]:
    if not re.fullmatch(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?", version):
        yield f"the version {version!r} is not one of a release"
    if tag is not None and tag != f"v{version}":
        yield f"the tag is {tag!r}, expected 'v{version}'"


def _of_the_changelog(text: str, version: str) -> Iterator[str]:
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    is_open = bool(sections) and sections[0].startswith("[Unreleased]")
    if is_open and sections.pop(0).partition("\n")[2].strip():
        yield "CHANGELOG.md has unreleased changes: move them below the heading of the version"
    heading = sections[0].partition("\n")[0] if sections else ""
    if not re.fullmatch(rf"\[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d", heading):
        yield f"CHANGELOG.md starts with {heading!r}, expected '[{version}] - YYYY-MM-DD'"


def main() -> int:
    """Print the reasons; return 1 if there are any."""
    found = [*reasons(ROOT, *sys.argv[1:2])]
    sys.stderr.writelines(f"{reason}\n" for reason in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
