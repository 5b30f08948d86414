"""The command: a case, its diagnosis, the reports, the exit code."""

import os
from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from .. import _exits as exits
from .._notes import Notes
from .._reading import check_dialect, dialect_of, marks_of
from .._request import call_of
from .._terminal import reading
from .._usage import UsageError
from ._case import Case, Diagnosis
from ._checks import diagnose
from ._exchange import CTRL_C, End, Exchange
from ._finding import Finding, Level
from ._probes.plan import check_probes, probed
from ._reports.page import page
from ._reports.picture import picture
from ._reports.report import write_json, write_text
from ._sources import recording
from ._sources.observe import observe, warm_up


def doctor(options: Namespace, stdout: BinaryIO, notes: Notes, stdin: BinaryIO) -> int:
    """Say why a stream does not stream."""
    is_json = _take_json(options)
    _check_files(options)
    if recording.is_file(options.target):
        diagnoses = _of_recording(options, stdin)
    else:
        diagnoses = _of_request(options, stdout, notes, stdin)
    is_written = _write_files(options, diagnoses, notes)
    worst = max(diagnosis.worst for diagnosis in diagnoses)
    is_healthy = worst < (Level.WARN if options.strict else Level.FAIL) and diagnoses[0].case.exchange.failure is None
    code = _code_of(diagnoses, is_healthy=is_healthy)
    if is_json:
        write_json(stdout, diagnoses, is_healthy=is_healthy)
    else:
        write_text(stdout, diagnoses)
    return code if is_written else code or exits.OTHER


def _take_json(options: Namespace) -> bool:
    """Part the two meanings of `--json`: alone it is a report, with a value the body of the request."""
    values: list[str] = options.json or []
    bodies = [value for value in values if value]
    if len(bodies) > 1:
        raise UsageError("expected one body: --json, -d or -F")
    options.json = bodies[0] if bodies else None
    return len(bodies) < len(values)


def _check_files(options: Namespace) -> None:
    """Raise `UsageError` before the request, which may cost money, if a report could not be written."""
    for name in ("record", "html", "svg"):
        path = getattr(options, name)
        if path is None:
            continue
        folder = Path(path).parent
        if Path(path).is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UsageError(f"--{name}: cannot write {path}")


def _write_files(options: Namespace, diagnoses: list[Diagnosis], notes: Notes) -> bool:
    """Write the files that were asked for; return whether all could be written."""
    first = diagnoses[0].case
    writers: dict[str, Callable[[str], object]] = {
        "record": lambda path: recording.write(path, first.exchange, first.body),
        "html": lambda path: _write(path, page(diagnoses, with_data=options.with_data)),
        "svg": lambda path: _write(path, picture(*diagnoses)),
    }
    is_written = True
    for name, write in writers.items():
        path = getattr(options, name)
        if path is None:
            continue
        try:
            write(path)
        except OSError as error:
            is_written = False
            notes.say(f"--{name}: cannot write {path}: {error.strerror}")
    return is_written


def _write(path: str, text: str) -> None:
    Path(path).write_text(text, encoding="utf-8")


def _of_request(options: Namespace, stdout: BinaryIO, notes: Notes, stdin: BinaryIO) -> list[Diagnosis]:
    call = call_of(options, None, stdin)
    # Both raise for what they do not know: before the request, which may cost money.
    dialect_of(options, call.arguments.get("content", b""))
    marks_of(options)
    check_probes(options)
    warm_up(options)
    with reading(stdout, notes):
        return probed(diagnose(case_of(options, observe(call, options, notes))), call, options, notes)


def _of_recording(options: Namespace, stdin: BinaryIO) -> list[Diagnosis]:
    """Judge all connections of a recording, and report the worst one; the last of those, if there are several."""
    if options.from_curl is not None or any(each is not None for each in (options.json, options.content, options.form)):
        raise UsageError("a recording needs no body and no --from-curl: no request is sent")
    if options.probe or options.resume_check or options.compare is not None:
        raise UsageError("--probe, --resume-check and --compare need a URL, not a recording")
    check_dialect(options)
    diagnoses = [diagnose(case_of(options, exchange)) for exchange in recording.read(options.target, stdin)]
    if len(diagnoses) == 1:
        return diagnoses
    # After the first, a 204 is the regular end of a feed.
    shown = [index for index, each in enumerate(diagnoses) if index == 0 or each.case.exchange.status != 204]
    worst = max(shown, key=lambda index: (diagnoses[index].worst, index))
    said = "; ".join(f"{number}: {_in_words(each)}" for number, each in enumerate(diagnoses, start=1))
    evidence = f"showing connection {worst + 1} of {len(diagnoses)} ({said})"
    chosen = diagnoses[worst]
    return [replace(chosen, findings=(Finding("head", "recording", Level.note, evidence), *chosen.findings))]


def _in_words(diagnosis: Diagnosis) -> str:
    exchange = diagnosis.case.exchange
    how = {End.CLEAN: "ended", End.CUT: "cut", End.LEFT: "stopped"}[exchange.end]
    return f"{exchange.status} {how}, {diagnosis.worst.name}"


def case_of(options: Namespace, exchange: Exchange) -> Case:
    """Return the case of an exchange, with what the options say about it."""
    case = Case(
        exchange,
        origin=options.origin,
        dialect=options.dialect,
        marks=marks_of(options),
        wait=options.wait,
    )
    if limit := case.body.limit:
        # As if we had stopped reading there.
        pieces = exchange.pieces[: len(case.body.pieces)]
        end_at = pieces[-1].time if pieces else exchange.head_at
        cut = replace(exchange, pieces=pieces, end=End.LEFT, ended_at=end_at, error="", left=limit)
        return replace(case, exchange=cut)
    return case


def _code_of(diagnoses: list[Diagnosis], *, is_healthy: bool) -> int:
    if any(diagnosis.case.exchange.left == CTRL_C for diagnosis in diagnoses):
        return exits.INTERRUPTED
    first = diagnoses[0].case.exchange
    if first.failure is not None and not (first.is_connected and first.left):
        return exits.NO_CONNECTION
    return exits.COMPLETE if is_healthy else exits.OTHER
