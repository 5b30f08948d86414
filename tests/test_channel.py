"""
A channel and the watchdog, state by state.

A channel is in one of these states:

    new         it has no socket yet
    early       it was shut down before it had one
    armed       it has one: the reader is blocked, or about to be
    doubled     it has a duplicate, because the socket itself moves on, or is not exposed
    watched     it is armed, and the watchdog looks at it at a distant deadline
    resting     it was watched, and the user is busy: it has no deadline, but the watchdog still looks
    released    its connection belongs to the pool again
    shut        it was armed and shut down
    expired     it was armed and its deadline has passed
    inherited   it was armed, and this process was forked since then

In each state each of these may happen: another thread shuts it down, its deadline passes, it gets another connection's
socket, it is released, a response comes over HTTP/1.1 or over HTTP/2, the process forks. `TABLE` has the state of the
connection and of the channel after that.
"""

import logging
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from sse_client._shells import waking
from sse_client._shells.waking import Channel, Watchdog, watchdog

FAR = 3600.0


class Number:
    """A socket as uvloop exposes it: its own methods raise, and only its file number is usable."""

    def __init__(self, below: socket.socket) -> None:
        self._below = below
        self.family, self.type = below.family, below.type

    def fileno(self) -> int:
        return self._below.fileno()

    def shutdown(self, how: int) -> None:
        raise TypeError("transport sockets do not support shutdown() method")


class Wrapper(Number):
    """A socket as asyncio and trio expose it: in their own object."""

    def __init__(self, below: socket.socket) -> None:
        super().__init__(below)
        self._sock = below


# How the loops expose a socket.
SHOWN: dict[str, Callable[[socket.socket], Any]] = {
    "plain": lambda below: below,
    "wrapped": Wrapper,
    "number": Number,
}


@dataclass
class Connection:
    """A connection, with its other end."""

    show: Callable[[socket.socket], Any] = SHOWN["plain"]
    ends: tuple[socket.socket, socket.socket] = field(default_factory=socket.socketpair)

    def get_extra_info(self, name: str) -> Any:
        return self.show(self.ends[0]) if name == "socket" else None

    @property
    def is_open(self) -> bool:
        """Whether the connection has not been shut down; otherwise the other end would read the end."""
        self.ends[1].setblocking(False)
        try:
            return self.ends[1].recv(1) != b""
        except BlockingIOError:
            return True

    def close(self) -> None:
        for end in self.ends:
            end.close()


@dataclass
class World:
    """A channel, its connection, and another one."""

    monkeypatch: pytest.MonkeyPatch
    connection: Connection = field(default_factory=Connection)
    other: Connection = field(default_factory=Connection)
    channel: Channel = field(default_factory=Channel)

    def arm(self) -> None:
        self.channel.arm(self.connection)

    def double(self) -> None:
        self.channel.arm(self.connection, is_moving=True)

    def watch(self) -> None:
        self.arm()
        self.channel.watch(time.monotonic() + FAR)

    def rest(self) -> None:
        self.watch()
        self.channel.deadline = math.inf

    def release(self) -> None:
        self.arm()
        self.channel.release()

    def shut(self) -> None:
        self.arm()
        self.channel.shut_down()

    def expire(self) -> None:
        self.arm()
        self.deadline()

    def inherit(self) -> None:
        self.arm()
        self.fork()

    def deadline(self) -> None:
        """Let the channel's deadline pass, and wait until the watchdog has looked at it."""
        self.channel.watch(time.monotonic())
        seen = Connection()
        witness = Channel()
        witness.arm(seen)
        witness.watch(time.monotonic() + 0.001)
        wait_until(lambda: witness.is_expired and not seen.is_open)
        seen.close()

    def fork(self) -> None:
        """Do for this channel what a forked process does when it begins."""
        self.monkeypatch.setattr(waking, "generation", waking.generation + 1)

    def respond(self, http_version: str) -> None:
        self.channel.responded(
            SimpleNamespace(
                http_version=http_version,
                headers={},
                is_closed=False,
                extensions={"network_stream": self.other},
            )
        )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


STATES: dict[str, Callable[[World], None]] = {
    "new": lambda world: None,
    "early": lambda world: world.channel.shut_down(),
    "armed": World.arm,
    "doubled": World.double,
    "watched": World.watch,
    "resting": World.rest,
    "released": World.release,
    "shut": World.shut,
    "expired": World.expire,
    "inherited": World.inherit,
}
EVENTS: dict[str, Callable[[World], None]] = {
    "shut": lambda world: world.channel.shut_down(),
    "deadline": World.deadline,
    "arm": lambda world: world.channel.arm(world.other),
    "release": lambda world: world.channel.release(),
    "HTTP/1.1": lambda world: world.respond("HTTP/1.1"),
    "HTTP/2": lambda world: world.respond("HTTP/2"),
    "fork": World.fork,
}

# The state of the channel's connection, and of the other one, and whether the channel is armed afterwards: "x" for shut
# down, "." for left alone, "a" for armed.
TABLE = """
            shut    deadline    arm     release     HTTP/1.1    HTTP/2      fork
new         ..      ..          ..a     ..          ..a         ..          ..
early       ..      ..          .xa     ..          .xa         ..          ..
armed       x.a     x.a         ..a     ..          ..a         ..          ..
doubled     x.a     x.a         ..a     ..          ..a         ..          ..
watched     x.a     x.a         ..a     ..          ..a         ..          ..
resting     x.a     x.a         ..a     ..          ..a         ..          ..
released    ..      ..          ..a     ..          ..a         ..          ..
shut        x.a     x.a         xxa     x.          xxa         x.          x.
expired     x.a     x.a         xxa     x.          xxa         x.          x.
inherited   ..      ..          ..      ..          ..          ..          ..
"""


def cells() -> Iterator[Any]:
    header, *rows = TABLE.strip().splitlines()
    for state, *row in map(str.split, rows):
        for event, cell in zip(header.split(), row, strict=True):
            yield pytest.param(state, event, cell, id=f"{state}-{event}")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(monkeypatch)
    yield world
    world.channel.release()
    world.connection.close()
    world.other.close()


@pytest.mark.parametrize(("state", "event", "cell"), [*cells()])
def test_each_event_in_each_state(world: World, state: str, event: str, cell: str) -> None:
    """A connection is shut down exactly if its channel holds it at that time."""
    STATES[state](world)
    EVENTS[event](world)
    marks = ["." if connection.is_open else "x" for connection in (world.connection, world.other)]
    assert "".join(marks) + "a" * world.channel.is_armed == cell
    assert world.channel.is_expired == (state == "expired" or (event == "deadline" and cell == "x.a"))


def test_the_table_is_whole() -> None:
    """Every state and every event is in the table."""
    header, *rows = TABLE.strip().splitlines()
    assert header.split() == [*EVENTS]
    assert [row.split()[0] for row in rows] == [*STATES]


@pytest.mark.parametrize("is_moving", [False, True], ids=["stays", "moves"])
@pytest.mark.parametrize("show", SHOWN.values(), ids=SHOWN)
def test_however_a_socket_is_shown(show: Callable[[socket.socket], Any], is_moving: bool) -> None:
    """A connection can be shut down even after its socket has moved to another object, and we do not close it."""
    connection = Connection(show)
    channel = Channel()
    channel.arm(connection, is_moving=is_moving)
    if is_moving:
        moved = socket.socket(fileno=connection.ends[0].detach())
        connection.ends = moved, connection.ends[1]
    assert connection.is_open
    channel.shut_down()
    assert not connection.is_open
    channel.release()
    assert connection.ends[0].fileno() >= 0
    connection.close()


@pytest.mark.parametrize("how", ["release", "arm", "HTTP/2"])
def test_a_duplicate_is_closed_once(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A duplicate is closed when the channel releases its connection, which then ends with its own socket."""
    world = World(monkeypatch, connection=Connection(Number))
    world.arm()
    EVENTS[how](world)
    assert world.connection.is_open
    world.connection.ends[0].close()
    assert not world.connection.is_open
    world.channel.release()
    world.connection.close()
    world.other.close()


def test_a_number_that_is_another_one_s_by_now() -> None:
    """If the loop closes its socket before the channel releases it, the next socket with its number is left alone."""
    connection = Connection(Number)
    channel = Channel()
    channel.arm(connection)
    number = connection.ends[0].fileno()
    connection.ends[0].close()
    following = Connection()
    assert number in {end.fileno() for end in following.ends}
    channel.shut_down()
    assert following.is_open
    channel.release()
    following.close()
    connection.close()


def closed_socket() -> socket.socket:
    with socket.socket() as closed:
        return closed


@pytest.mark.parametrize(
    "shown",
    [lambda: None, object, lambda: SimpleNamespace(shutdown=print), closed_socket],
    ids=["None", "object", "only shutdown", "closed"],
)
def test_no_socket(shown: Callable[[], Any]) -> None:
    """An object that is not a socket, or a closed one, arms nothing and raises nothing."""
    channel = Channel()
    channel.arm(SimpleNamespace(get_extra_info=lambda name: shown()), is_moving=True)
    assert not channel.is_armed
    channel.watch(time.monotonic())
    channel.shut_down()
    channel.release()


def test_a_response_that_is_closed_already() -> None:
    """A response that a hook has read has returned its connection to the pool, so the channel does not hold it."""
    connection = Connection()
    channel = Channel()
    channel.arm(connection)
    channel.responded(
        SimpleNamespace(http_version="HTTP/1.1", headers={}, is_closed=True, extensions={"network_stream": connection})
    )
    channel.shut_down()
    assert connection.is_open
    connection.close()


def expire(channel: Channel) -> bool:
    """Arm a channel, let its deadline pass, and return whether the watchdog shut it down."""
    connection = Connection()
    channel.arm(connection)
    channel.watch(time.monotonic() + 0.001)
    wait_until(lambda: channel.is_expired)
    channel.release()
    is_open = connection.is_open
    connection.close()
    return not is_open


def test_an_exception_in_one_channel(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """
    A channel that cannot be shut down is logged; all others keep their clocks, and the watchdog's thread lives on.
    """
    assert expire(Channel())
    before = watching()
    bad = Channel()
    monkeypatch.setattr(bad, "shut_down", lambda: 1 / 0)
    with caplog.at_level(logging.ERROR, "sse_client"):
        expire(bad)
        assert expire(Channel())
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]
    assert watching() == before


def watching() -> int:
    """The number of watchdogs: one for the process, and one for each fork that a test has simulated in it."""
    return [thread.name for thread in threading.enumerate()].count("sse_client watchdog")


@pytest.mark.parametrize("seconds", [1e8, 1e10, 1e300, 10**10])
def test_a_deadline_far_away(seconds: float) -> None:
    """A deadline too far away for the system's clock does not stop the watchdog."""
    connection = Connection()
    channel, own = Channel(), Watchdog()
    channel.arm(connection)
    channel.deadline = time.monotonic() + seconds
    own.queue(channel, channel.deadline)
    other = Channel()
    other.arm(connection)
    other.deadline = time.monotonic() + 0.001
    own.queue(other, other.deadline)
    wait_until(lambda: other.is_expired)
    assert not channel.is_expired
    assert own._thread is not None
    assert own._thread.is_alive()
    connection.close()


def test_beginning_anew() -> None:
    """A process that is forked while the watchdog holds its lock has its own lock, queue and thread."""
    own = Watchdog()
    held = own._condition
    with held:
        own.begin_anew()
        connection = Connection()
        channel = Channel()
        channel.arm(connection)
        channel.deadline = time.monotonic()
        own.queue(channel, channel.deadline)
        wait_until(lambda: channel.is_expired)
        connection.close()


def test_an_inherited_channel_is_not_queued(world: World) -> None:
    """The child's use of its parent's stream never puts the channel in the child's queue."""
    world.inherit()
    before = len(watchdog._queue)
    world.channel.watch(time.monotonic() + FAR)
    assert len(watchdog._queue) == before
    assert world.channel.queued_for == math.inf


def test_an_inherited_lock_is_not_waited_for(world: World) -> None:
    """A lock that a thread of the parent held at the fork does not block the child."""
    world.arm()
    with world.channel._lock:
        world.fork()
        world.channel.shut_down()
        world.channel.release()
    assert world.connection.is_open
