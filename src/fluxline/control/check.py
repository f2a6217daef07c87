"""Check a plan against environments, without reading data or asking a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.config import refuse_unsupported, require_project, resolve_environment
from fluxline.control.ends import raise_problems, resolve_ends
from fluxline.control.flink import prepare
from fluxline.errors import FluxlineError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fluxline.plan.nodes import Plan


def check(plan: Plan, directory: Path, *, env: str | None = None, overrides: Sequence[str] = ()) -> tuple[str, ...]:
    """Check the plan; returns the names of the environments that it was checked against.

    Args:
        plan: the plan as written.
        directory: where the search for the project file starts.
        env: one environment; every one that can run is checked if not given.
        overrides: `key=value` settings for this call.

    Raises:
        FluxlineError: the one problem that there is.
        ExceptionGroup: of all problems.
    """
    project = require_project(directory)
    names = [env] if env is not None else [name for name in project.environments if name not in project.abstract]
    problems: list[FluxlineError] = []
    checked = []
    for name in names:
        try:
            environment = resolve_environment(project, name, overrides=overrides)
            refuse_unsupported(environment, None)
        except FluxlineError as error:
            problems.append(error)
            continue
        found = (prepare if environment.engine == "flink" else resolve_ends)(plan, environment, reveal=False).problems
        problems += [error for error in found if str(error) not in map(str, problems)]
        checked.append(name)
    raise_problems(problems, f'pipeline "{plan.name}" cannot run')
    return tuple(checked)
