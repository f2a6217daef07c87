"""From the TARGET of a command line to pipelines: a file, a folder, a module; without one the project of the current folder."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.cli.arguments import invocation
from fluxline.errors import DefinitionError, NameNotFound, relative_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fluxline.pipeline.pipeline import Pipeline


def pipelines_of(target: str | None, name: str | None = None) -> list[Pipeline]:
    """The pipelines of a target, or the one of this name.

    Raises:
        FluxlineError: what `pipeline.discovery` raises.
    """
    from fluxline.pipeline.discovery import choose_pipeline, find_pipelines

    where = _where(target)
    with _reading(where):
        return [choose_pipeline(where, name)] if name is not None else find_pipelines(where)


def one_pipeline(target: str | None, name: str | None = None) -> Pipeline:
    """The only pipeline of a target, or the one of this name.

    Raises:
        DefinitionError: FLX-2164, there are several and none was chosen.
    """
    from fluxline.pipeline.discovery import choose_pipeline

    where = _where(target)
    with _reading(where):
        return choose_pipeline(where, name)


def project_pipeline(project: str, name: str) -> Pipeline:
    """The pipeline of this name in a project, as `--project` says.

    Raises:
        NameNotFound: FLX-2160, there is no such file or folder.
        FluxlineError: what `pipeline.discovery` raises.
    """
    from fluxline.config import find_project

    start = project_start(project)
    found = find_project(start)
    return one_pipeline(str(start) if found is None or start.suffix == ".py" else relative_path(str(found.directory)), name)


def project_start(project: str) -> Path:
    """Where the search for a project begins, as `--project` says.

    Raises:
        NameNotFound: FLX-2160, there is no such file or folder.
    """
    path = Path(project)
    if not path.exists():
        raise NameNotFound("FLX-2160", f'there is no file or folder "{project}"')
    invocation().start = path
    return path


def _where(target: str | None) -> str:
    """The target as discovery takes it; the search for a project begins there."""
    if target is None:
        from fluxline.config import find_project

        project = find_project(Path.cwd())
        target = "." if project is None else relative_path(str(project.directory))
    path = Path(target)
    invocation().start = path if path.exists() else None
    if not path.exists() and os.getcwd() not in sys.path:  # noqa: PTH109  # a module lies where the user stands, as for `python -m`
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    return target


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Meanwhile a user's file is imported: what it prints is no result of the command, and it must not end the process."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except SystemExit as error:
        raise DefinitionError(
            "FLX-2162",
            f'"{where}" does not import: it leaves the process',
            detail=f"It calls sys.exit({error.code!r}) while it is read for its pipelines.",
            hint='Put the call under: if __name__ == "__main__":',
        ) from None
