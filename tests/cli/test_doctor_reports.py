"""The reports of `doctor`: the timeline, the page and the picture, with everything that a hostile server could send."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from cases import At, exchange, paced
from command import run
from hypothesis import given
from hypothesis import strategies as st

from sse_client.cli.doctor._body import body_of
from sse_client.cli.doctor._case import Case, Diagnosis
from sse_client.cli.doctor._exchange import End, Exchange, Hop
from sse_client.cli.doctor._finding import Finding, Level
from sse_client.cli.doctor._reports.chart import chart
from sse_client.cli.doctor._reports.markup import COLOURS
from sse_client.cli.doctor._reports.page import POLICY, page
from sse_client.cli.doctor._reports.picture import picture, wrapped
from sse_client.cli.doctor._reports.report import _broken
from sse_client.cli.doctor._reports.timeline import (
    Mark,
    Timeline,
    as_json,
    in_text,
    length_of,
    round_width,
    timeline_of,
)
from sse_client.testing import Answer, EventServer

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

HOSTILE = (
    "<script>alert(1)</script><img src=http://x.test/ onerror=alert(1)>]]>--><!--</style></svg></title>"
    "\" onload=\"alert(1)\" ' ` &lt; &#60; url(http://x.test/) @import 'http://x.test/'; {color:red} "
    "\x1b[31m\x00\x07\x7f\x9b31m\u202egnp.exe\u2066\ud800\ufffe\uffff"
)
# Everything that could turn the page around or end it, apart from the two line breaks that the reports themselves have.
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

FINDINGS = (
    Finding("head", "status", Level.ok, "200 OK"),
    Finding("head", "proxies", Level.note, "nginx, by Server"),
    Finding("time", "buffering", Level.FAIL, "one burst of 41 events", "nginx: `proxy_buffering off;` or a header"),
    Finding("body", "terminator", Level.WARN, "there is none"),
)

BURST = exchange(*((12.3, f'event: token\nid: {n}\ndata: {{"t": "{n}"}}\n\n') for n in range(41)), head_at=12.3)
STEADY = exchange(
    *paced([f"data: {n}\n\n" for n in range(60)], start=0.3, step=0.04), (2.9, ": ping\n\n"), ended_at=3.0
)


def diagnosis(exchange: Exchange, findings: tuple[Finding, ...] = FINDINGS) -> Diagnosis:
    return Diagnosis(Case(exchange), findings)


def timeline(exchange: Exchange) -> Timeline:
    return timeline_of(exchange, body_of(exchange))


def test_the_text_of_a_steady_stream() -> None:
    """The first line has the marks; then each bin has its start, a bar, and its events, bytes and comments."""
    assert in_text(timeline(STEADY)) == [
        "head 0.020 s, first byte 0.300 s, first event 0.300 s, end 3.000 s",
        "0.0 s  ███████████▋                     5 events   45 B",
        "0.5 s  ██████████████████████████████  13 events  125 B",
        "1.0 s  ███████████████████████████▊    12 events  120 B",
        "1.5 s  ██████████████████████████████  13 events  130 B",
        "2.0 s  ███████████████████████████▊    12 events  120 B",
        "2.5 s  ███████████▋                     5 events   58 B  1 comment",
    ]


def test_the_text_without_blocks() -> None:
    """The bars are `#` where the encoding has no block characters, or is not known."""
    for encoding in ("latin-1", "ascii", "no such", None):
        text = "\n".join(in_text(timeline(STEADY), encoding=encoding))
        assert text.isascii()
        assert "0.0 s  ############                     5 events   45 B\n" in text


def test_the_text_of_bytes_that_are_no_events() -> None:
    """Without events the bars stand for bytes, and the end is named as it was."""
    lines = in_text(timeline(exchange((0.3, "data: x\n" * 3000), ended_at=2.0, end=End.CUT)))
    assert lines[0] == "head 0.020 s, first byte 0.300 s, cut 2.000 s"
    assert lines[1:3] == [
        "0.0 s  ██████████████████████████████  0 events  24.0 kB",
        "0.5 s                                  0 events      0 B",
    ]


@pytest.mark.parametrize("seconds", [0.0, 0.0004, 0.003, 0.3, 0.9, 1.0, 9.0, 60.0, 61.0, 3600.0, 90_000.0])
@pytest.mark.parametrize("events", [0, 1, 1000])
def test_each_stream_fits(seconds: float, events: int) -> None:
    """A timeline takes at most ten lines of 80 characters, and counts each event, whatever its length."""
    pieces: list[At] = [(seconds * n / max(events - 1, 1), "data: x\n\n") for n in range(events)]
    each = timeline(exchange(*pieces, head_at=0.0, ended_at=seconds))
    lines = in_text(each)
    assert 2 <= len(lines) <= 10
    assert max(map(len, lines)) <= 80
    for most in (1, 9, 100):
        bins = each.bins(most)
        assert len(bins) <= most
        assert sum(part.events for part in bins) == events
        assert sum(part.bytes for part in bins) == events * 9
        assert bins[-1].end >= seconds
    elements, height = chart(each, each.length)
    ElementTree.fromstring(elements)
    assert 100 < height < 300


@given(st.floats(0.0, 1e6), st.integers(1, 200))
def test_the_width_of_a_bin(length: float, most: int) -> None:
    """The width is 1, 2 or 5 of a unit, never below a millisecond, and never makes more bins than there is room for."""
    width = round_width(length, most)
    assert length / width <= most + 1e-6
    assert width >= 0.001
    assert f"{width:.0e}"[0] in "125"


def test_the_json() -> None:
    """A program gets the bins as a list of objects."""
    bins = as_json(timeline(STEADY))
    assert len(bins) == 30
    assert bins[3] == {"from": 0.3, "to": 0.4, "events": 3, "bytes": 27, "comments": 0}
    assert json.loads(json.dumps(bins)) == bins
    assert sum(part["comments"] for part in bins) == 1


def test_one_scale() -> None:
    """Several diagnoses have one scale of time: that of the longest."""
    both = [timeline(BURST), timeline(STEADY)]
    length = length_of(both)
    assert length == pytest.approx(12.301)
    first, second = (in_text(each, length=length) for each in both)
    assert [line.split()[:2] for line in first[1:]] == [line.split()[:2] for line in second[1:]]
    diagnoses = diagnosis(BURST), diagnosis(STEADY)
    for text in (picture(*diagnoses), page(diagnoses, with_data=False)):
        assert text.count(">12 s</text>") == 2


@given(st.text(st.sampled_from("ab -汉e\u0301"), max_size=200), st.integers(2, 40))
def test_lines_of_a_picture(text: str, columns: int) -> None:
    """Lines of a picture are never too long, and only blanks are lost where they break."""
    lines = wrapped(text, columns)
    wide = "汉"
    assert all(len(line.replace("\u0301", "")) + line.count(wide) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@given(st.lists(st.floats(0.0, 100.0), min_size=2, max_size=4).map(sorted))
def test_names_in_a_chart(times: list[float]) -> None:
    """The names of the marks never stand on each other, nor outside of the chart."""
    names = ("head", "first byte", "first event", "stopped reading")
    marks = tuple(Mark(time, name) for time, name in zip(times, names, strict=False))
    elements, _ = chart(Timeline(marks, (), (), (), times[-1]), times[-1])
    spans: dict[str, list[tuple[float, float]]] = {}
    for element in ElementTree.fromstring(elements).iter("text"):
        if "halo" in element.attrib["class"]:
            x, width = float(element.attrib["x"]), len("".join(element.itertext())) * 7.0
            span = (x - width, x) if "end" in element.attrib["class"] else (x, x + width)
            assert span[0] >= 0
            assert span[1] <= 912
            spans.setdefault(element.attrib["y"], []).append(span)
    for row in spans.values():
        assert all(left[1] < right[0] for left, right in pairwise(sorted(row)))


class Elements(HTMLParser):
    """The elements of a page, their attributes, the text, and the style."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.comments: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


# httpx reads it as UTF-8, if it is.
IN_A_HEADER = HOSTILE.replace("\ud800", "").encode()

ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "scope", "colspan"),
    *("viewbox", "role", "aria-label", "d", "x", "y", "xmlns", "width", "height", "transform"),
}

# Everything that a server, or a proxy, can choose.
PLACES: dict[str, dict[str, Any]] = {
    "header": {"more": {"x-a": IN_A_HEADER}},
    "name of a header": {"redacted": frozenset({HOSTILE})},
    "content type": {"more": {"content-type": IN_A_HEADER}},
    "content coding": {"more": {"content-encoding": IN_A_HEADER}},
    "location": {"hops": (Hop(302, HOSTILE, False), Hop(302, f"http://a.test/{HOSTILE}", True))},
    "error": {"error": HOSTILE, "end": End.CUT},
    "version": {"http_version": HOSTILE},
    "url": {"url": f"http://api.test/{HOSTILE}"},
    "event": {"pieces": [f"event: {HOSTILE}\ndata: x\n\n"]},
    "id": {"pieces": [f"id: {HOSTILE}\ndata: x\n\n".replace("\0", "")]},
    "data": {"pieces": [f"data: {HOSTILE}\ndata: x\n\n"]},
    "comment": {"pieces": [f": {HOSTILE}\n\n"]},
    "lines": {"pieces": [HOSTILE]},
    "long": {
        "pieces": [f"event: {'<b>' * 9999}\nid: {'&' * 9999}\ndata: {HOSTILE * 999}\n\n"],
        "more": {"x-a": b"<" * 9999},
    },
    "finding": {},
}


def hostile(place: str) -> Diagnosis:
    """A diagnosis with a hostile text in this place."""
    options = dict(PLACES[place])
    pieces = options.pop("pieces", ["data: 1\n\n"])
    made = exchange(
        *((0.1 * n, piece.encode("utf-8", "surrogatepass")) for n, piece in enumerate(pieces, 1)), **options
    )
    findings: tuple[Finding, ...] = FINDINGS
    if place == "finding":
        findings = (*FINDINGS, *(Finding("body", HOSTILE, Level.FAIL, HOSTILE * n, HOSTILE * n) for n in (1, 99)))
    return diagnosis(made, findings)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("with_data", [False, True], ids=["shortened", "with data"])
def test_a_hostile_page(place: str, with_data: bool) -> None:
    """No text of a server becomes an element, an attribute or a control character of the page."""
    text = page([hostile(place)], with_data=with_data)
    text.encode()
    assert not CONTROL.search(text)
    found = Elements(text)
    assert set(found.tags) <= set(Elements(page([diagnosis(STEADY)], with_data=True)).tags) | {"tbody", "pre"}
    assert {name for name, _ in found.attributes} <= ATTRIBUTES
    assert not found.comments
    assert ("content", POLICY) in found.attributes
    assert style_of(text) == style_of(page([], with_data=False))
    for name, value in found.attributes:
        assert name == "aria-label" or "://" not in value


@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_picture(place: str) -> None:
    """No text of a server becomes an element, an attribute or a control character of the picture, which is XML."""
    text = picture(hostile(place))
    assert not CONTROL.search(text)
    elements = [*ElementTree.fromstring(text).iter()]
    assert {element.tag.partition("}")[2] for element in elements} == {
        "svg",
        "title",
        "style",
        "rect",
        "g",
        "path",
        "text",
    }
    names = {name.lower() for element in elements for name in element.attrib}
    assert names <= ATTRIBUTES
    assert not any("://" in value for element in elements for value in element.attrib.values())
    assert style_of(text) == style_of(picture())
    assert len(text) < 50_000


def style_of(text: str) -> str:
    return "".join(re.findall(r"<style>(.*?)</style>", text, re.DOTALL))


def test_no_address() -> None:
    """Neither the page nor the picture has an address, a script, an import or a font of another host."""
    made = replace(BURST, url="api.test/chat")
    drawn = picture(diagnosis(made)).replace('xmlns="http://www.w3.org/2000/svg"', "", 1)
    pattern = r"https?:|//|url\(|@import|@font-face|<script|<link|<img|href|src=|javascript:"
    for text in (drawn, page([diagnosis(made)], with_data=True)):
        assert not re.search(pattern, text)


def test_a_request_that_is_only_compared() -> None:
    """A diagnosis without findings, as that of a probe, has its times and no empty list."""
    text = page([diagnosis(STEADY), diagnosis(BURST, ())], with_data=False)
    assert text.count("<h3>Findings</h3>") == 1
    assert text.count("<h3>Timeline</h3>") == 2
    assert picture(diagnosis(STEADY), diagnosis(BURST, ())).count("1 FAIL") == 2  # in the title of the picture too


def test_the_text_is_there() -> None:
    """The page and the picture say what was found: findings with levels, evidence and cures, marks, and the head."""
    texts = (
        Elements(page([diagnosis(BURST)], with_data=False)).text,
        " ".join("".join(ElementTree.fromstring(picture(diagnosis(BURST))).itertext()).split("\n")),
    )
    for text in texts:
        for finding in FINDINGS:
            assert finding.level.name in text
            assert finding.check in text
            assert finding.evidence in text
        assert "POST http://api.test/chat" in text
        assert "1 FAIL, 1 WARN, 1 note, 1 ok" in text
        assert "end 12.301 s" in text
    assert "x-accel-buffering: no" in texts[0]
    assert "nginx: proxy_buffering off; or a header" in texts[0]
    assert '{"t": "40"}' in texts[0]


def test_data_is_shortened() -> None:
    """Data is shortened to 80 characters, and of many events the first and the last are shown, unless all is wanted."""
    made = diagnosis(exchange(*((n / 1000, f"data: {n}-{'x' * 90}\n\n") for n in range(500))))
    shortened, whole = (Elements(page([made], with_data=with_data)).text for with_data in (False, True))
    assert "x" * 79 not in shortened
    assert "0-" + "x" * 77 + "…" in shortened
    assert "The first 100 and the last 20 of 500 events" in shortened
    assert "… 380 more …" in shortened
    assert [n for n in range(500) if f"{n}-x" in shortened] == [*range(100), *range(480, 500)]
    assert "x" * 90 in whole
    assert all(f"{n}-x" in whole for n in range(500))


def test_a_body_without_events() -> None:
    """The first lines of the body are shown if it has no events; all of them only with the data."""
    made = diagnosis(exchange((0.1, "".join(f"line {n} {'y' * 90}\n" for n in range(40)))))
    shortened, whole = (Elements(page([made], with_data=with_data)).text for with_data in (False, True))
    assert "First lines of the body" in shortened
    assert "line 19 " in shortened
    assert "line 20 " not in shortened
    assert "y" * 80 not in shortened
    assert "line 39 " + "y" * 90 in whole


def test_without_a_head_or_a_response() -> None:
    """The bytes of a body have no head and no times; without a response there are only findings."""
    events = exchange((0.0, "data: 1\n\n"), method="", url="body.txt", has_head=False, is_recorded=True)
    refused = exchange(status=0, headers={}, failure=FINDINGS[2])
    for made, words in ((events, "the bytes of a body"), (refused, "no response")):
        for text in (page([diagnosis(made)], with_data=False), picture(diagnosis(made))):
            assert words in text
            assert not re.search(r'Timeline|Head of|first event|"col">Time<| s<', text)
    assert "1 event; data is shortened" in page([diagnosis(events)], with_data=False)
    mixed = page([diagnosis(refused), diagnosis(BURST)], with_data=False)
    assert mixed.count("<h3>Timeline</h3>") == 1


def test_secrets() -> None:
    """No cookie, no query and no user of a URL is in a report."""
    canary = "c4n4ry"
    made = exchange(
        (0.1, "data: 1\n\n"),
        url=f"http://{canary}:{canary}@api.test/chat?key={canary}",
        more={
            "set-cookie": f"session={canary}",
            "location": f"https://{canary}@api.test/?token={canary}#{canary}",
            "authentication-info": canary,
        },
        hops=(Hop(307, f"https://{canary}@api.test/?token={canary}", True),),
    )
    for with_data in (False, True):
        assert canary not in page([diagnosis(made)], with_data=with_data)
    assert canary not in picture(diagnosis(made))


def test_secrets_of_the_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the request's headers, cookies, password, query and body is in the files that the command writes."""
    canary = "c4n4ry"
    monkeypatch.setenv("PASSWORD", canary)
    html, svg = tmp_path / "report.html", tmp_path / "report.svg"
    redirect = Answer(status=307, headers={"Location": f"/chat?key={canary}"})
    with EventServer(redirect, Answer("data: 1\n\n", headers={"Set-Cookie": f"id={canary}"})) as server:
        options = ["-H", f"X-Key: {canary}", "-H", f"Cookie: a={canary}", "-u", "me", "--password-env", "PASSWORD"]
        options += ["-q", f"token={canary}", "-d", canary, "--html", str(html), "--svg", str(svg), "--with-data"]
        run("doctor", f"{server.url}/chat?k={canary}", *options)
        assert len(server.requests) == 2
    for path in (html, svg):
        text = path.read_text(encoding="utf-8")
        assert f"POST {server.url}/chat?" in text
        assert canary not in text


def test_sizes() -> None:
    """A report of ten thousand events stays small: the page below a megabyte, the picture below 100 kB."""
    made = diagnosis(exchange(*((n / 100, f"event: {'e' * 60}\ndata: {'<' * 500}\n\n") for n in range(10_000))))
    assert len(page([made], with_data=False)) < 1_000_000
    assert len(picture(made)) < 100_000


def test_contrast() -> None:
    """Each colour of text has a contrast of at least 4.5 to its paper, in light and in dark surroundings."""
    for name in ("ink", "faint", *(level.name for level in Level)):
        for colour, paper in zip(COLOURS[name], COLOURS["paper"], strict=True):
            darker, lighter = sorted(map(luminance, (colour, paper)))
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, name


def luminance(colour: str) -> float:
    """The relative luminance of WCAG."""
    parts = (int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_in_a_browser(tmp_path: Path) -> None:
    """In Chromium, a page and a picture full of hostile text have no element of it, and request nothing."""
    with EventServer(Answer("data: 1\n\n")) as server:
        evil = (
            f"</title></style></pre></svg><img src={server.url}/img onerror=alert(1)>"
            f"<script src='{server.url}/js'></script>"
            f'<iframe src={server.url}/frame></iframe>" style="background:url({server.url}/css)" '
        )
        control = tmp_path / "control.html"
        control.write_text(f"<!DOCTYPE html><title>control</title><img id=evil src={server.url}/img>")
        if 'id="evil"' not in shown_by_chromium(control) or not server.requests:
            pytest.skip("Chromium does not run here")
        before = len(server.requests)
        findings = (*FINDINGS, Finding("body", evil, Level.FAIL, evil, evil))
        made = diagnosis(
            exchange((0.1, f"event: {evil}\nid: {evil}\ndata: {evil}\n\n"), more={"x-a": evil}, url=server.url),
            findings,
        )
        report = tmp_path / "report.html"
        # The picture stands in the page too: one start of the browser shows them both.
        report.write_text(page([made], with_data=True).replace("</main>", f"{picture(made)}</main>"), encoding="utf-8")
        dom = shown_by_chromium(report)
        assert len(server.requests) == before
    assert "Diagnosis of an event stream" in dom
    found = Elements(dom)
    assert not {"img", "script", "iframe"} & set(found.tags)
    assert {name for name, _ in found.attributes} <= ATTRIBUTES
    assert not [value for _, value in found.attributes if "url(" in value and "<" not in value]


def shown_by_chromium(path: Path) -> str:
    """The document of a file after everything in it was loaded."""
    assert CHROMIUM is not None
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        f"--user-data-dir={path.parent / 'profile'}",
    ]
    done = subprocess.run(
        [CHROMIUM, *options, path.as_uri()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=30
    )
    return done.stdout.decode()


def test_lines_on_a_narrow_terminal() -> None:
    """A long line continues below its evidence, unless that leaves too little room."""
    line = "FAIL  status  401: no key for this model · authenticate"
    assert _broken(line, 14, 44) == "FAIL  status  401: no key for this model ·\n              authenticate"
    assert _broken(line, 14, 43) == line
    assert _broken(line, 0, 44) == line
