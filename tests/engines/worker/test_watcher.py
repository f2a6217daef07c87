"""The watcher replaces workers that die, in good time and not for ever, and those that say nothing; its children here are small scripts."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from fluxline.clock import SystemClock, VirtualClock
from fluxline.control.deployment import DeploymentDirectory
from fluxline.control.watcher import Watcher
from fluxline.control.worker_processes import end_workers, expects_workers
from fluxline.control.worker_state import Watched, WorkerState, read_watcher_state, write_worker_state
from fluxline.errors import ResourceBusy
from fluxline.limits import WORKER_HANG_MS_MAX, WORKER_QUICK_DEATHS_MAX, WORKER_QUICK_MS
from tests.end_to_end.processes import python, running, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIVES = "import signal; signal.pause()"
FAILS = "print('FLX-0000  no such thing'); raise SystemExit(3)"


class Watch:
    """A watcher, step by step, over scripts that it starts."""

    def __init__(self, directory: Path, script: str, count: int = 1) -> None:
        self.place = DeploymentDirectory(directory)
        self.clock = VirtualClock(1_700_000_000_000)
        self.script = script
        self.spawned: list[int] = []
        self.watcher = Watcher(self.place, count, self.spawn, self.clock)

    def spawn(self, number: int) -> int:
        out = (os.POSIX_SPAWN_OPEN, 1, str(self.place.path / f"worker-{number}.log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        pid = os.posix_spawn(sys.executable, [sys.executable, "-c", self.script], dict(os.environ), file_actions=[out])
        self.spawned.append(pid)
        return pid

    def told(self) -> tuple[Watched, ...]:
        state = read_watcher_state(self.place)
        assert state is not None
        return state.workers

    def until_dead(self, deaths: int) -> Watched:
        def dead() -> bool:
            self.watcher.step()
            return self.told()[0].deaths == deaths

        wait_until(dead, f"{deaths} deaths")
        return self.told()[0]


@pytest.fixture
def lives(tmp_path: Path) -> Iterator[Watch]:
    watch = Watch(tmp_path, LIVES)
    yield watch
    watch.watcher._end()


def test_a_killed_worker_is_replaced_after_a_wait(lives: Watch) -> None:
    lives.watcher.step()
    (first,) = lives.spawned
    os.kill(first, signal.SIGKILL)
    told = lives.until_dead(1)
    assert (told.pid, told.given_up, told.said) == (None, False, "It was ended by signal SIGKILL.")
    lives.clock.advance(999)
    lives.watcher.step()
    assert len(lives.spawned) == 1
    lives.clock.advance(1)
    lives.watcher.step()
    _, second = lives.spawned
    assert lives.told() == (Watched(1, second, 1, False, told.died_at_ms, told.said),)


def test_after_eight_quick_deaths_no_more_is_tried_and_what_it_said_is_kept(tmp_path: Path) -> None:
    watch = Watch(tmp_path, FAILS)
    for deaths, wait_ms in enumerate((1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000), 1):
        assert not watch.until_dead(deaths).given_up
        watch.clock.advance(wait_ms - 1)
        watch.watcher.step()
        assert len(watch.spawned) == deaths
        watch.clock.advance(1)
        watch.watcher.step()
    told = watch.until_dead(WORKER_QUICK_DEATHS_MAX)
    assert told.given_up
    assert told.said == "FLX-0000  no such thing\nIt ended with code 3."
    watch.clock.advance(10_000_000)
    watch.watcher.step()
    assert len(watch.spawned) == WORKER_QUICK_DEATHS_MAX == 8
    assert not expects_workers(watch.place)


def test_a_death_after_a_long_life_is_no_quick_one(lives: Watch) -> None:
    for deaths in range(1, 12):
        lives.watcher.step()
        lives.clock.advance(WORKER_QUICK_MS // 2)
        lives.watcher.step()
        write_worker_state(lives.place.path / "worker-1", WorkerState(lives.spawned[-1], deaths))
        lives.watcher.step()
        lives.clock.advance(WORKER_QUICK_MS // 2)
        os.kill(lives.spawned[-1], signal.SIGKILL)
        assert not lives.until_dead(deaths).given_up
        lives.clock.advance(1_000)


def test_a_worker_that_says_nothing_is_killed_and_one_that_does_is_not(lives: Watch) -> None:
    lives.watcher.step()
    (place := lives.place.path / "worker-1").mkdir()
    (place / "lock").write_text(str(lives.spawned[0]))
    for beat in range(5):
        write_worker_state(place, WorkerState(lives.spawned[0], beat))
        lives.watcher.step()
        lives.clock.advance(WORKER_HANG_MS_MAX - 1)
        lives.watcher.step()
    os.kill(lives.spawned[0], signal.SIGSTOP)
    assert lives.told()[0].deaths == 0
    lives.clock.advance(1)
    assert lives.until_dead(1).said == "It was ended by signal SIGKILL."


WATCHES = """
import os, sys
from pathlib import Path
from fluxline.cli.signals import signals
from fluxline.clock import SystemClock
from fluxline.control.deployment import DeploymentDirectory
from fluxline.control.watcher import Watcher
place = DeploymentDirectory(Path(sys.argv[1]))
script = sys.argv[2]
def spawn(number):
    return os.posix_spawn(sys.executable, [sys.executable, "-c", script], dict(os.environ))
with signals() as asked:
    asked.running = True
    Watcher(place, 2, spawn, SystemClock()).run(lambda: asked.stop)
"""


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_with_the_watcher_its_workers_end_and_there_is_only_one(tmp_path: Path) -> None:
    place = DeploymentDirectory(tmp_path / "p")
    with running(python(WATCHES, tmp_path, str(place.path), LIVES)) as process:
        wait_until(lambda: expects_workers(place), "the watcher", process)
        state = read_watcher_state(place)
        assert state is not None
        assert state.pid == process.pid
        with pytest.raises(ResourceBusy, match="runs already"):
            Watcher(place, 1, lambda _number: 0, SystemClock()).run(lambda: False)
        reaper = threading.Thread(target=process.wait, daemon=True)  # It is this process's child, as it is not of a command that has ended.
        reaper.start()
        assert end_workers(place, SystemClock()) == 0, "they held no place"
        assert all(_gone(worker.pid) for worker in state.workers if worker.pid is not None)
        assert process.wait(10) == 0
    assert read_watcher_state(place) is None
