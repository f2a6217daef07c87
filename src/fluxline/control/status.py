"""What the state directory of a pipeline says: whether it runs, how it ended the last time, and whether its definition changed."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.control.run import definition_changed, report_of
from fluxline.engines.embedded.saved_state import StateDirectory
from fluxline.errors import RecoveryError
from fluxline.plan.json import plan_digest
from fluxline.planner.rules import apply_rules

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fluxline.plan.nodes import Plan
    from fluxline.telemetry import Report


@dataclass(frozen=True, slots=True)
class Status:
    """One pipeline in one environment.

    Attributes:
        pipeline: its name.
        environment: the environment's name.
        directory: where its state is.
        state: what it does, or how it ended.
        pid: the process that runs it, or ran it when it crashed.
        started_at_ms: when that process started it.
        definition_changed: whether the definition is another than that process has; None if there is none.
        stopped_at_ms: when the last clean stop was saved.
        input_ended: whether its input was read to the end then.
        definition_changed_since_stop: whether the definition is another than the one that was stopped.
        report: the row ledger of the last clean stop.
    """

    pipeline: str
    environment: str
    directory: Path
    state: Literal["never run", "running", "stopped", "crashed"]
    pid: int | None = None
    started_at_ms: int | None = None
    definition_changed: bool | None = None
    stopped_at_ms: int | None = None
    input_ended: bool | None = None
    definition_changed_since_stop: bool | None = None
    report: Report | None = None


def status(plan: Plan, directory: Path, *, env: str | None = None, overrides: Sequence[str] = ()) -> Status:
    """What is known of a pipeline without running it.

    Args:
        plan: the plan as written.
        directory: where the search for the project file starts.
        env: the environment.
        overrides: `key=value` settings for this call.

    Raises:
        FluxlineError: the environment cannot be resolved.
        RecoveryError: FLX-5003, FLX-5004, what was saved cannot be read.
    """
    environment = resolve_environment(require_project(directory), env, overrides=overrides)
    refuse_unsupported(environment)
    state = StateDirectory(environment.embedded.directory / plan.name)
    running, last = state.running(), state.last_stop()
    planned = apply_rules(plan)
    pid = _whole(running, "pid")
    word: Literal["never run", "running", "stopped", "crashed"]
    if running is None:
        word = "never run" if last is None else "stopped"
    elif is_alive(state.path, pid):
        word = "running"
    else:
        word = "crashed"
    return Status(
        pipeline=plan.name,
        environment=environment.name,
        directory=state.path,
        state=word,
        pid=pid,
        started_at_ms=_whole(running, "started_at_ms"),
        definition_changed=definition_changed(plan, state),
        stopped_at_ms=None if last is None else last.saved_at_ms,
        input_ended=None if last is None else last.ended,
        definition_changed_since_stop=None if last is None else last.plan_digest != plan_digest(planned),
        report=None if last is None else report_of(last, planned, ()),
    )


def records_read_before(plan: Plan, directory: Path, *, env: str | None = None, overrides: Sequence[str] = ()) -> int:
    """The records that the runs had read which the next run will continue; its ledger goes on counting from there."""
    environment = resolve_environment(require_project(directory), env, overrides=overrides)
    try:
        last = StateDirectory(environment.embedded.directory / plan.name).last_stop()
    except RecoveryError:
        return 0  # the run itself refuses it
    planned = apply_rules(plan)
    if last is None or last.plan_digest != plan_digest(planned):
        return 0
    return report_of(last, planned, ()).read


def _whole(data: dict[str, object] | None, key: str) -> int | None:
    value = None if data is None else data.get(key)
    return value if type(value) is int else None


def is_alive(path: Path, pid: int | None) -> bool:
    """Whether the process lives and holds the directory; a number alone may be another process's by now."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's, so nothing more can be asked
    try:
        handle = os.open(path / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
