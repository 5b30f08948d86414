"""The pictures of the page: the script that makes them runs, and they show what the command shows today."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from command import ROOT

PAGE = ROOT / "docs" / "cli.md"
FOLDER = ROOT / "docs" / "pictures"
PICTURES = ("post.svg", "doctor.svg", "report.svg")

TIME = re.compile(r"\d+\.\d{3}")
CHECK = re.compile(r"(?:^|\n)(ok|note|WARN|FAIL)\s+([a-z][a-z-]*)")


def lines_of(path: Path) -> str:
    """The text of a picture, line by line."""
    lines: dict[float, list[tuple[float, str]]] = {}
    for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text"):
        text = "".join(element.itertext()).replace("\xa0", " ").strip("\n")
        lines.setdefault(float(element.attrib["y"]), []).append((float(element.attrib["x"]), text))
    joined = (" ".join(text for _, text in sorted(parts)) for _, parts in sorted(lines.items()))
    return "\n".join(" ".join(line.split()) for line in joined)


@pytest.mark.skipif(os.name != "posix", reason="a terminal of POSIX")
def test_up_to_date(tmp_path: Path) -> None:
    """The script runs. `post` shows the same, apart from times; `doctor` has the same checks, with the same levels."""
    pytest.importorskip("rich")
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    script = [sys.executable, str(ROOT / "docs" / "cli_pictures.py"), str(tmp_path), "--port", "0"]
    subprocess.run(script, check=True, timeout=50, env={**os.environ, "PYTHONPATH": path})
    new, old = (TIME.sub("0.000", lines_of(folder / "post.svg")) for folder in (tmp_path, FOLDER))
    assert "token #2" in new
    assert new == old
    for name in ("doctor.svg", "report.svg"):
        checks, shown = (CHECK.findall(lines_of(folder / name)) for folder in (tmp_path, FOLDER))
        assert ("FAIL", "buffering") in checks
        assert checks == shown


@pytest.mark.parametrize("name", PICTURES)
def test_in_the_page(name: str) -> None:
    """The page shows each picture, and says in words what is on it."""
    assert re.search(rf"!\[[^\]]{{30,}}\]\(pictures/{re.escape(name)}\)", PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_is_loaded(name: str) -> None:
    """A picture loads nothing from elsewhere: no font, no image, no script."""
    text = (FOLDER / name).read_text(encoding="utf-8")
    elements = [*ElementTree.fromstring(text).iter()]
    assert not re.search(r"@import|@font-face|url\((?!#)", text)
    assert {element.tag.partition("}")[2] for element in elements} <= {
        *("svg", "style", "defs", "clipPath", "rect", "g", "text", "circle", "title", "path"),
    }
    assert not any("://" in value for element in elements for value in element.attrib.values())
