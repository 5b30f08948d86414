"""
All benchmarks, their figures and their pictures: `python benchmarks/run.py`, about ten minutes on an idle machine.

    python benchmarks/run.py [--quick] [--into FOLDER]

Each benchmark runs alone, one after the other, in a process of its own, and writes FOLDER/results/NAME.json; then
`pictures.py` draws them into FOLDER/pictures. By default, FOLDER is that of this file. `--quick` only tries whether
everything runs, in a minute; its figures mean nothing, and go into a temporary folder.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Benchmark(NamedTuple):
    name: str
    quick: tuple[str, ...]


BENCHMARKS = (
    Benchmark("command_line", ("--rounds", "1", "--seconds", "0.5", "--events", "1000")),
    Benchmark("dialect_cost", ("--rounds", "1", "--events", "250")),
    Benchmark("end_to_end", ("--rounds", "1", "--events", "250")),
    Benchmark("first_event", ("--repetitions", "10")),
    Benchmark("many_streams", ("--streams", "100", "--events", "4")),
    Benchmark("parser", ("--rounds", "1", "--only", "OpenAI-like")),
    Benchmark("telemetry_cost", ("--rounds", "1", "--streams", "10", "--events", "250")),
)


def run(script: str, *arguments: str | Path) -> None:
    command = [sys.executable, HERE / script, *arguments]
    print("$", *command, flush=True)
    started = time.monotonic()
    subprocess.run(command, check=True)
    print(f"({time.monotonic() - started:.0f} s)\n", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description="Run all benchmarks and draw their figures.")
    arguments.add_argument("--quick", action="store_true", help="only try whether everything runs")
    arguments.add_argument("--into", metavar="FOLDER", type=Path, help="the folder for results and pictures")
    options = arguments.parse_args()
    into = options.into or (Path(tempfile.mkdtemp()) if options.quick else HERE)
    (into / "results").mkdir(parents=True, exist_ok=True)
    for benchmark in BENCHMARKS:
        file = into / "results" / f"{benchmark.name}.json"
        run(f"{benchmark.name}.py", "--json", file, *(benchmark.quick if options.quick else ()))
    run("pictures.py", into / "results", into / "pictures")
    print(f"in {into}")


if __name__ == "__main__":
    main()
