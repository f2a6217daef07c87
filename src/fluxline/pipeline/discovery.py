"""Find the pipelines in a user's file, folder or module: what the CLI is given, to `Pipeline` objects.

sensors.py            the pipelines among the file's globals
examples/sensors      a folder is a project: its fluxline.toml lists `pipelines`; without one, its *.py files
package.module:name   a module, and one of its pipelines
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.config import find_project
from fluxline.errors import DefinitionError, FluxlineError, NameNotFound, Place, UnsupportedByEngine, did_you_mean
from fluxline.pipeline.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_importing = threading.local()


def importing() -> bool:
    """Whether a user's file is being read for its pipelines in this thread."""
    return bool(getattr(_importing, "depth", 0))


def find_pipelines(target: str) -> list[Pipeline]:
    """All pipelines of a target, in the order of their files and definitions.

    Raises:
        NameNotFound: FLX-2160, there is no such file, folder or module; FLX-2161 or no such pipeline in it.
        DefinitionError: FLX-2162 the file does not import; FLX-2163 it has no pipeline.
    """
    where, _, wanted = target.partition(":") if not Path(target).exists() else (target, "", "")
    path = Path(where)
    if path.is_dir():
        found = [pipeline for file in _project_files(path) for pipeline in _pipelines_of(_import_file(file))]
    elif path.is_file():
        found = _pipelines_of(_import_file(path))
    elif path.suffix == ".py" or "/" in where:
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise NameNotFound("FLX-2160", f'there is no file or folder "{where}"', hint=did_you_mean(path.name, siblings))
    else:
        found = _pipelines_of(_import_module(where))
    found = list(dict.fromkeys(found))
    if wanted:
        found = [pipeline for pipeline in found if pipeline.name == wanted] or _refuse_name(wanted, where, found)
    if not found:
        raise DefinitionError("FLX-2163", f'"{where}" has no pipeline', hint='Make one at the top level of the file: name = Pipeline("name").')
    return found


def choose_pipeline(target: str, name: str | None = None) -> Pipeline:
    """The one pipeline of a target, or the one of this name.

    Raises:
        DefinitionError: FLX-2164, there are several and none was chosen.
    """
    found = find_pipelines(target)
    if name is not None:
        chosen = [pipeline for pipeline in found if pipeline.name == name]
        return (chosen or _refuse_name(name, target, found))[0]
    if len(found) > 1:
        names = ", ".join(pipeline.name for pipeline in found)
        raise DefinitionError("FLX-2164", f'"{target}" has several pipelines: {names}', hint="Choose one: --pipeline NAME.")
    return found[0]


def _refuse_name(name: str, where: str, found: list[Pipeline]) -> list[Pipeline]:
    names = [pipeline.name for pipeline in found]
    raise NameNotFound(
        "FLX-2161", f'"{where}" has no pipeline "{name}"', detail=f"It has {', '.join(names) or 'none'}.", hint=did_you_mean(name, names)
    )


def _project_files(folder: Path) -> list[Path]:
    project = find_project(folder)
    if project is None or project.path.parent.resolve() != folder.resolve() or not project.pipelines:
        return sorted(file for file in folder.glob("*.py") if not file.name.startswith(("test_", "conftest")))
    files: list[Path] = []
    for pattern in project.pipelines:
        matches = sorted(folder.glob(pattern))
        if not matches and not any(letter in pattern for letter in "*?["):
            raise NameNotFound("FLX-2160", f'there is no file or folder "{pattern}"', detail=f"{project.path.name} lists it under pipelines.")
        files += matches
    for file in files:
        if file.suffix == ".sql":
            raise UnsupportedByEngine("FLX-2190", f'pipelines in SQL ("{file.name}") are not part of this version')
    return files


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    _importing.depth = getattr(_importing, "depth", 0) + 1
    try:
        yield
    finally:
        _importing.depth -= 1


def _import_file(file: Path) -> ModuleType:
    """Import a file under a name of its own; its folder is on the path meanwhile, for the modules beside it."""
    resolved = file.resolve()
    name = f"fluxline_pipelines.{resolved.stem}_{abs(hash(str(resolved))):x}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise NameNotFound("FLX-2160", f'"{file}" is no Python file')
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(resolved.parent))
    try:
        with _reading():
            spec.loader.exec_module(module)
    except FluxlineError:
        del sys.modules[name]
        raise
    except Exception as error:  # whatever a user's file raises
        del sys.modules[name]
        raise _does_not_import(str(file), resolved, error) from error
    finally:
        sys.path.remove(str(resolved.parent))
    return module


def _import_module(name: str) -> ModuleType:
    try:
        with _reading():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            raise NameNotFound(
                "FLX-2160", f'there is no file, folder or module "{name}"', hint="Give a file, a folder with fluxline.toml, or MODULE:NAME."
            ) from None
        raise _does_not_import(name, None, error) from error
    except FluxlineError:
        raise
    except Exception as error:  # whatever a user's module raises
        raise _does_not_import(name, None, error) from error


def _does_not_import(shown: str, file: Path | None, error: Exception) -> DefinitionError:
    place = None
    if isinstance(error, SyntaxError) and error.filename:
        place = Place(error.filename, error.lineno or 1, error.offset or 1, error.end_offset)
    else:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if file is not None and frame.filename == str(file)] or frames[-1:]
        if own and own[-1].lineno is not None:
            last = own[-1]
            place = Place(last.filename, last.lineno or 1, (last.colno or 0) + 1, None if last.end_colno is None else last.end_colno + 1)
    return DefinitionError("FLX-2162", f'"{shown}" does not import: {type(error).__name__}', detail=f"{error}.", place=place)


def _pipelines_of(module: ModuleType) -> list[Pipeline]:
    return [value for value in vars(module).values() if isinstance(value, Pipeline)]
