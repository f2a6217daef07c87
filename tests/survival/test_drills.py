"""Servers, workers and links go away under a running pipeline: every output is as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING

import pytest

from fluxline.clock import SystemClock
from fluxline.control.jobs import jobs
from fluxline.control.rescale import rescale_job
from fluxline.control.restore import restore_job
from fluxline.stack.lifecycle import down, kill, restart, up
from fluxline.stack.state import read_state
from tests.survival.conftest import AGAIN, silent
from tests.survival.drill import Setting
from tests.survival.servers import until

if TYPE_CHECKING:
    from tests.survival.drill import Drill, Drilled
    from tests.survival.link import Link

pytestmark = [pytest.mark.servers, pytest.mark.survival]
FOUND_SECONDS = 3.0  # A job finds new partitions within a second or so.
CUT_SECONDS = (4.0, 10.0)


def again(drill: Drill, name: str) -> None:
    """Start a server that was killed."""
    restart(name, drill.servers.stack.directory, AGAIN, silent)


def test_leader_killed(drilled: Drilled) -> None:
    """Under an idempotent producer that waits for all replicas."""

    def happens(drill: Drill) -> None:
        kill(drill.servers.leader(drill.topic("readings")), drill.servers.stack.directory)

    drilled(happens)


def test_follower_killed(drilled: Drilled) -> None:
    """It comes back while records come in, and catches up."""

    def happens(drill: Drill) -> None:
        name = drill.servers.follower(drill.topic("readings"))
        kill(name, drill.servers.stack.directory)
        again(drill, name)
        until(drill.servers.in_sync, 60, "every replica has caught up")

    drilled(happens)


def test_task_manager_killed(drilled: Drilled) -> None:
    """Its tasks go on elsewhere, from the last checkpoint."""

    def happens(drill: Drill) -> None:
        kill(drill.servers.busy_task_manager(drill.job_id), drill.servers.stack.directory)

    drilled(happens)


def test_node_killed(drilled: Drilled) -> None:
    """Each row is on both nodes of Cassandra, and one of them is enough to write it; the other one returns under load."""

    def happens(drill: Drill) -> None:
        kill("cassandra-2", drill.servers.stack.directory)
        again(drill, "cassandra-2")

    drilled(happens, Setting(by_table=True, feed_seconds=20))


def test_worker_killed(drilled: Drilled) -> None:
    """After a second one was started; what the first had not committed is written again, with the same versions."""
    started: list[subprocess.Popen[bytes]] = []

    def happens(drill: Drill) -> None:
        (worker,) = jobs(drill.directory)[0].workers
        command = [sys.executable, "-m", "fluxline.cli.main", "worker", str(drill.directory)]
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until(lambda: len(jobs(drill.directory)[0].workers) == 2, 60, "the second worker is ready")
        drill.mark()
        os.kill(worker, signal.SIGKILL)

    try:
        drilled(happens, Setting(by_table=True))
    finally:
        for process in started:
            process.terminate()
            process.wait(30)


def test_rescaled(drilled: Drilled) -> None:
    """From one to two and back to one, through savepoints, while records come in."""

    def happens(drill: Drill) -> None:
        for parallelism in (2, 1):
            drill.job_id = rescale_job(drill.plan, drill.directory, parallelism).job_id

    drilled(happens, Setting(parallelism=1, feed_seconds=30))


def test_job_manager_killed(drilled: Drilled) -> None:
    """There is one alone, and it forgets its jobs: started again, one command brings the job back from its last checkpoint."""

    def happens(drill: Drill) -> None:
        kill("jobmanager", drill.servers.stack.directory)
        again(drill, "jobmanager")
        drill.job_id = restore_job(drill.plan, drill.directory).job_id

    drilled(happens, Setting(feed_seconds=20))


def test_stack_stopped(drilled: Drilled) -> None:
    """All of it, and nobody asks the job before: started again, one command brings it back; the producer has waited."""

    def happens(drill: Drill) -> None:
        directory = drill.servers.stack.directory
        down(directory)
        up((), directory, AGAIN, silent)
        drill.job_id = restore_job(drill.plan, drill.directory).job_id

    drilled(happens)


def test_link_cut(drilled: Drilled, link: Link, seed: int) -> None:
    """Between the job with its workers and the brokers, for some seconds, in silence."""
    seconds = random.Random(seed).uniform(*CUT_SECONDS)

    def happens(drill: Drill) -> None:
        assert link.carried > 0
        link.cut()
        try:
            SystemClock().wait(Event(), round(1_000 * seconds))
            carried = link.carried
            SystemClock().wait(Event(), 100)
            assert link.carried == carried
        finally:
            drill.mark()
            link.heal()

    try:
        drilled(happens, Setting(brokers=link.bootstrap))
    finally:
        link.heal()


def test_broker_added(drilled: Drilled) -> None:
    """It gets some of three more partitions of the topic, which the job finds while records come in."""

    def happens(drill: Drill) -> None:
        directory = drill.servers.stack.directory
        count = read_state(directory).nodes["kafka"] + 1
        up(("kafka",), directory, replace(AGAIN, nodes={"kafka": count}), silent)
        assert f"kafka-{count}" in drill.servers.add_partitions(drill.topic("readings"), 6)
        SystemClock().wait(Event(), round(1_000 * FOUND_SECONDS))  # Before: a record of a partition nobody knew of could be late.
        drill.feed.use_partitions(6)
        drill.mark()

    drilled(happens, Setting(feed_seconds=40))
