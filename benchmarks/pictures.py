"""
The figures of the benchmarks as SVG pictures: `python benchmarks/pictures.py [RESULTS [PICTURES]]`, two folders.

This script measures nothing. Each picture is drawn from one file that a benchmark wrote with `--json`, and left out if
the file is missing. Bars are medians, with the number beside them; shorter is better. The same figures give the same
bytes, and text stays text.
"""

import argparse
import json
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

HERE = Path(__file__).parent
OURS = "sse-client"

WIDTH = 800 / 96  # inches, of 96 CSS pixels
BAR = 0.185  # inches from one to the next
INK, OTHERS, HIGHLIGHT, FAINT = "#24292f", "#c4cad1", "#2f6fd0", "#6e7781"
STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": OURS,
}

MODES = {"paced": "an event per ms", "unpaced": "an event per write", "16KiB": "16 KiB per write"}


class Bar(NamedTuple):
    label: str
    value: float
    is_ours: bool
    mark: float | None = None
    spread: tuple[float, float] | None = None
    note: str = ""


class Panel(NamedTuple):
    label: str
    bars: list[Bar]
    has_labels: bool = True


def figure_of(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw(panels: list[list[Panel]], caption: str, about: dict[str, Any], path: Path) -> None:
    """Draw rows of panels, with the caption below them."""
    if not panels or not all(panel.bars for row in panels for panel in row):
        print(f"left out: {path.name}, figures are missing")
        return
    rc_context, figure_class = import_module("matplotlib").rc_context, import_module("matplotlib.figure").Figure
    heights = [max(len(panel.bars) for panel in row) for row in panels]
    lines = textwrap.wrap(f"{caption} {described(about)}", 140)
    height = sum(heights) * BAR + len(heights) * 0.5 + len(lines) * 0.16
    with rc_context(STYLE):
        figure = figure_class(figsize=(WIDTH, height), layout="constrained")
        figure.get_layout_engine().set(rect=(0, len(lines) * 0.16 / height, 1, 1 - len(lines) * 0.16 / height))
        grid = figure.subplots(len(panels), len(panels[0]), squeeze=False, gridspec_kw={"height_ratios": heights})
        for axes_of_row, row in zip(grid, panels, strict=True):
            for axes, panel in zip(axes_of_row, row, strict=True):
                draw_panel(axes, panel)
        figure.text(0.01, 0.02 / height, "\n".join(lines), size=7, color=FAINT, va="bottom")
        figure.savefig(
            path, format=path.suffix[1:], metadata={"Date": None, "Creator": None} if path.suffix == ".svg" else None
        )


def draw_panel(axes: Any, panel: Panel) -> None:
    places = range(len(panel.bars))
    values = [bar.value for bar in panel.bars]
    axes.barh(places, values, height=0.7, color=[HIGHLIGHT if bar.is_ours else OTHERS for bar in panel.bars])
    for place, bar in zip(places, panel.bars, strict=True):
        end = bar.value
        if bar.mark is not None:
            axes.vlines(bar.mark, place - 0.35, place + 0.35, color=INK, linewidth=1.2)
            end = max(end, bar.mark)
        if bar.spread is not None:
            axes.hlines(place, *bar.spread, color=INK, linewidth=1.2)
            end = max(end, *bar.spread)
        axes.text(end, place, f" {figure_of(bar.value)}{bar.note}", va="center")
    axes.set_yticks(places, [bar.label if panel.has_labels else "" for bar in panel.bars])
    for label, bar in zip(axes.get_yticklabels(), panel.bars, strict=True):
        label.set_color(HIGHLIGHT if bar.is_ours else INK)
    axes.invert_yaxis()
    axes.set_xlim(0, max(values) * 1.2)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.set_xlabel(panel.label, loc="left")
    axes.spines[:].set_visible(False)
    axes.spines["left"].set(visible=True, color=OTHERS)


def described(about: dict[str, Any]) -> str:
    """Describe the machine and the versions of a measurement."""
    machine = about["machine"]
    cores = f", {machine['cores']} cores" if "cores" in machine else ""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items() if version[:1].isdigit())
    return f"{machine['cpu']}{cores}, {machine.get('os', machine['platform'])}; {machine['python']}; {versions}."


def rows_of(results: dict[str, Any], **wanted: str) -> Iterator[dict[str, Any]]:
    for row in results["microseconds"]:
        if all(row[key] == value for key, value in wanted.items()):
            yield row


def is_ours(row: dict[str, Any]) -> bool:
    return str(row["name"]).partition(",")[0] == OURS


def on_client(row: dict[str, Any]) -> str:
    return f"{row['name']} on {row['client']}"


def floor_of(results: dict[str, Any], row: dict[str, Any], mode: str) -> float | None:
    for floor in rows_of(results, kind="floor", name="bytes alone", client=row["client"], style=row["style"]):
        return float(median(floor["cpu"][mode]))
    return None


def end_to_end(results: dict[str, Any], path: Path) -> None:
    panels = []
    for mode, said in MODES.items():
        row = []
        for style in ("sync", "async"):
            bars = [
                Bar(on_client(each), median(each["cpu"][mode]), is_ours(each), floor_of(results, each, mode))
                for each in rows_of(results, kind="raw", style=style)
            ]
            row.append(Panel(f"µs, {style}, {said}", sorted(bars, key=lambda bar: bar.value)))
        panels.append(row)
    caption = "CPU per event of 250 bytes. Dark mark: the bare client, for the bytes alone."
    draw(panels, caption, results, path)


def typed(results: dict[str, Any], path: Path) -> None:
    panels = []
    for mode, said in MODES.items():
        row = []
        for style in ("sync", "async"):
            bars = [
                Bar(f"{kind}: {each['name'].replace(kind, 'its SDK')}", median(each["cpu"][mode]), is_ours(each))
                for kind in ("openai", "anthropic")
                for each in rows_of(results, kind=kind, style=style, client="httpx2")
            ]
            row.append(Panel(f"µs, {style}, {said}", bars))
        panels.append(row)
    caption = (
        "CPU per event, from 250 bytes to an object; sse-client's object has the fields that applications use. All on "
        "httpx2, the client of these SDKs."
    )
    draw(panels, caption, results, path)


def many_streams(results: dict[str, Any], path: Path) -> None:
    measures = {"memory": "{:,} streams: KiB each", "cpu": "µs of CPU per event", "open": "s to open all"}
    panels = []
    for streams in sorted({row["streams"] for row in results["rows"]}):
        row: list[Panel] = []
        for measure, said in measures.items():
            bars = [
                Bar(on_client(each), each[measure] or 0.0, is_ours(each))
                for each in results["rows"]
                if each["streams"] == streams
            ]
            row.append(Panel(said.format(streams), bars, has_labels=not row))
        panels.append(row)
    caption = f"Async streams that are open at once in one process, with {results['events']} events in each."
    draw(panels, caption, results, path)


def first_event(results: dict[str, Any], path: Path) -> None:
    panels = []
    for mode, said in (("behind", "after"), ("with", "with")):
        row = []
        for style in ("sync", "async"):
            bars = []
            for each in rows_of(results, mode=mode, style=style):
                lower, middle, upper = each["quartiles"]
                bars.append(Bar(on_client(each), middle, is_ours(each), spread=(lower, upper)))
            row.append(Panel(f"µs, {style}, {said} the headers", bars))
        panels.append(row)
    caption = (
        "From the server's write of the first event to the user's loop, 5 ms after the headers of the response or in "
        "one write with them. Dark line: from the first quartile to the third."
    )
    draw(panels, caption, results, path)


def parser(results: dict[str, Any], path: Path) -> None:
    shown = (
        ("OpenAI-like, one a piece", "OpenAI-like, 16 KiB pieces"),
        ("Anthropic-like, one a piece", "Anthropic-like, 16 KiB pieces"),
        ("CRLF, 16 KiB pieces", "1 MiB byte by byte"),
    )
    panels = []
    for pair in shown:
        row = []
        for workload in pair:
            found = results["seconds"].get(workload, {})
            bars = [
                Bar(
                    name,
                    median(each["times"]) / each["events"] * 1e9,
                    is_ours=name == OURS,
                    note="  wrong" if each["wrong"] else "",
                )
                for name, each in found.items()
            ]
            row.append(Panel(f"ns, {workload}", sorted(bars, key=lambda bar: bar.value)))
        if all(panel.bars for panel in row):
            panels.append(row)
    caption = "Time per event of the parsers alone, without a transport."
    if any(bar.note for row in panels for panel in row for bar in panel.bars):
        caption += " wrong: the events differ from those that were sent."
    draw(panels, caption, results, path)


Picture = Callable[[dict[str, Any], Path], None]
# By the file with the figures.
PICTURES: dict[str, tuple[Picture, ...]] = {
    "end_to_end": (end_to_end, typed),
    "many_streams": (many_streams,),
    "first_event": (first_event,),
    "parser": (parser,),
}


def main() -> None:
    arguments = argparse.ArgumentParser(description="Draw the figures of the benchmarks.")
    arguments.add_argument(
        "results", nargs="?", type=Path, default=HERE / "results", help="the folder of the JSON files"
    )
    arguments.add_argument(
        "pictures", nargs="?", type=Path, default=HERE / "pictures", help="the folder for the SVG files"
    )
    arguments.add_argument("--png", action="store_true", help="PNG files, to look at")
    options = arguments.parse_args()
    options.pictures.mkdir(parents=True, exist_ok=True)
    for name, pictures in PICTURES.items():
        path = options.results / f"{name}.json"
        if not path.exists():
            print(f"left out: {path} is missing")
            continue
        results = json.loads(path.read_text())
        for picture in pictures:
            picture(results, options.pictures / f"{picture.__name__}.{'png' if options.png else 'svg'}")


if __name__ == "__main__":
    main()
