"""Fixtures that run a test on every backend, library and shell, and hooks that spread the suite over processes."""

import gc
import os
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import httpx2
import pytest
from shells import HAS_UVLOOP, KINDS, Shell

from sse_client._shells.time import Clock

# No test needs the system's certificates, and loading them for each client takes longer than most tests do. The folder
# has none; examples and commands that run in processes of their own inherit it.
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent / "data")

BACKENDS: dict[str, tuple[str, dict[str, Any]]] = {"asyncio": ("asyncio", {}), "trio": ("trio", {})}
if HAS_UVLOOP:
    BACKENDS["uvloop"] = "asyncio", {"use_uvloop": True}


@pytest.fixture(params=[*BACKENDS.values()], ids=[*BACKENDS])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Run async tests on both backends, and on uvloop, whose sockets differ from those of asyncio."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


@pytest.fixture(params=[httpx, httpx2], ids=lambda library: library.__name__)
def library(request: pytest.FixtureRequest) -> ModuleType:
    """Run tests of a client with both libraries."""
    library: ModuleType = request.param
    return library


@pytest.fixture(params=KINDS, ids=str)
def shell(request: pytest.FixtureRequest) -> Shell:
    """Run tests of a stream in shells of each kind; with `@every_shell`, in all shells."""
    shell: Shell = request.param
    return shell


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect garbage after the test, so that warnings about open resources appear in the test that left them open."""
    yield
    gc.collect()
    gc.freeze()  # so that the next test collects only its own objects


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt, even if the shell ignores it, as it does for background processes."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# Tests in real time run one at a time, so that they do not delay each other.
REAL_TIME = ("tests/test_clocks.py", "tests/test_waking.py")
LONG = (
    *("tests/test_aiohttp.py", "tests/test_http2.py", "tests/reliability", "tests/test_cuts.py", "tests/test_fork.py"),
    *("tests/test_examples.py", "tests/test_subscribe.py", "tests/apps", "tests/test_readme.py"),
    "tests/testing/test_plugin.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """
    Run the whole suite in several processes, two more than there are cores, because it spends much of its time waiting.

    Tests that are named on the command line run in this process, and so do all tests with `--pdb`. Dozens of tests
    start an interpreter of their own: without bytecode, each would compile the package anew, and all processes the
    tests. So it is kept beside the files, as usual; a folder of its own would have to hold that of all libraries too.
    """
    option = config.option
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        sys.dont_write_bytecode = False
    is_whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if is_whole and not is_worker and getattr(option, "numprocesses", 0) is None and not option.usepdb:
        option.numprocesses = 2 + (os.cpu_count() or 1)
        option.dist = "loadscope"
        option.loadscopereorder = False


def pytest_configure() -> None:
    """
    Let an example of Hypothesis take as long as it needs on a busy machine.

    Hypothesis is imported here, not above: pytest compiles it as a plugin, which the first process does for all.
    """
    import hypothesis

    hypothesis.settings.register_profile("any machine", deadline=None)
    hypothesis.settings.load_profile("any machine")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give all rows of a test to one process, because distributing ten thousand rows one by one takes long."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ByTest(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return "real time" if nodeid.startswith(REAL_TIME) else nodeid.partition("[")[0]

        def _assign_work_unit(self, node: Any) -> None:
            # Forget what is done, because after each test xdist counts everything that the process was ever given.
            work = self.assigned_work.get(node, {})
            for scope in [scope for scope, tests in work.items() if all(tests.values())]:
                del work[scope]
            super()._assign_work_unit(node)

    return ByTest(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let each process begin with other files, so that it finds the bytecode of those that another one has compiled."""
    report = yield
    if isinstance(collector, pytest.Directory) and "PYTEST_XDIST_WORKER" in os.environ:
        number, count = os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"), os.environ["PYTEST_XDIST_WORKER_COUNT"]
        first = len(report.result) * int(number) // int(count)
        report.result = report.result[first:] + report.result[:first]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Run the long tests first, so that at the end no process works alone. The order is the same in all processes."""
    items.sort(key=lambda item: item.nodeid.partition("::")[0])
    yield
    items.sort(key=lambda item: (not item.nodeid.startswith(REAL_TIME), not item.nodeid.startswith(LONG)))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Hide the collected tests from the garbage collector: there are thousands of them, and many tests call it."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """Let plugins use the garbage collector on their own objects again."""
    gc.unfreeze()


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real time stands still, so only the virtual time of a script counts."""
    monkeypatch.setattr(Clock, "now", staticmethod(lambda: 1_000.0))
