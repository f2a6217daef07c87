"""The project file: find it, read it, check it as a whole, and lay each environment over those that it extends."""

from __future__ import annotations

import linecache
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fluxline.config_keys import PROJECT_FILE, STRUCTURE_KEYS, check_table
from fluxline.config_toml import Table, parse_key, read_toml, write_key
from fluxline.config_version import own_version, refuse_other_version
from fluxline.errors import ConfigError, NameNotFound, Place, did_you_mean
from fluxline.limits import EXTENDS_DEPTH_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME = "fluxline.toml"
ENVIRONMENT_VARIABLE = "FLUXLINE_ENV"


@dataclass(frozen=True, slots=True)
class Project:
    """One project file.

    Attributes:
        name: the project's name.
        path: the file itself.
        requires: the versions of Fluxline that may run it; empty for any.
        pipelines: patterns of the files that define its pipelines, as written.
        default_environment: what is taken if none is named.
        environments: names of all environments, in the order of the file.
        abstract: those that only serve others and cannot run.
        tables: environment -> its keys, inherited ones included.
    """

    name: str
    path: Path
    requires: str
    pipelines: tuple[str, ...]
    default_environment: str | None
    environments: tuple[str, ...]
    abstract: frozenset[str]
    tables: Mapping[str, Table] = field(repr=False)

    @property
    def directory(self) -> Path:
        """Where the file lies; relative paths of the file start here."""
        return self.path.parent

    @property
    def runnable(self) -> tuple[str, ...]:
        """The environments that are not abstract."""
        return tuple(name for name in self.environments if name not in self.abstract)


def find_project_file(start: Path) -> Path | None:
    """The nearest project file upwards from a file or folder; None if there is none."""
    here = Path(start).resolve()
    for folder in (here, *here.parents):
        if os.path.isfile(folder / FILE_NAME):  # noqa: PTH113  # Path.is_file raises where a folder above is closed to us
            return folder / FILE_NAME
    return None


def find_project(start: Path, *, version: str | None = None) -> Project | None:
    """The project of that file; None if there is none."""
    file = find_project_file(start)
    return None if file is None else load_project(file, version=version)


def require_project(start: Path, *, version: str | None = None) -> Project:
    """The same where a project is needed.

    Raises:
        ConfigError: FLX-1001, there is none.
    """
    project = find_project(start, version=version)
    if project is None:
        raise ConfigError(
            "FLX-1001",
            f"no {FILE_NAME} here or above",
            detail=f'The search began at "{Path(start).resolve()}". The file says where the names of a pipeline live.',
            hint='Write one beside the pipeline, or start with "fluxline new". Only collect(inputs=...) needs none.',
        )
    return project


def load_project(path: Path, *, version: str | None = None) -> Project:
    """Read and check a project file.

    Args:
        path: the file.
        version: the version of Fluxline that `requires` is held against; the one that runs if not given.

    Raises:
        ConfigError: FLX-1001 it cannot be read; FLX-1002 it is no TOML; FLX-1004 to FLX-1006 a value; FLX-1008 what extends
            what; FLX-1010 it asks for another version.
        NameNotFound: FLX-1003 a key, FLX-1007 an environment, FLX-1013 an unset key does not exist.
    """
    path = Path(path).resolve()
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError("FLX-1001", f'the project file "{path}" cannot be read', detail=f"{error.strerror}.") from None
    linecache.checkcache(str(path))  # what errors show of the file is to be what was just read
    document = read_toml(data, str(path))
    project = document.table("project")
    requires = project.values.get("requires", "")
    if isinstance(requires, str) and requires:  # before the keys: a file for another version may well have others
        refuse_other_version(requires, version or own_version(), project.place("requires"))
    check_table(document, PROJECT_FILE, "")
    if "name" not in project.values:
        raise missing_key("project", "name", 'Write name = "..." under [project].', project.here)
    environments = document.table("environments")
    default = cast("str | None", project.values.get("default_environment"))
    if default is not None and default not in environments.values:
        raise no_environment(default, environments, "", project.place("default_environment"))
    return Project(
        name=cast("str", project.values["name"]),
        path=path,
        requires=cast("str", requires),
        pipelines=tuple(cast("list[str]", project.values.get("pipelines", []))),
        default_environment=default,
        environments=tuple(environments.values),
        abstract=frozenset(name for name in environments.values if environments.table(name).values.get("abstract")),
        tables={name: _with_inherited(document, name) for name in environments.values},
    )


def _with_inherited(document: Table, name: str) -> Table:
    """The environment's keys laid over those of the environments that it extends, and over the project's policies."""
    environments = document.table("environments")
    chain = [name]
    while (parent := environments.table(chain[-1]).values.get("extends")) is not None:
        assert isinstance(parent, str)
        place = environments.place(chain[-1], "extends")
        if parent not in environments.values:
            raise no_environment(parent, environments, "", place)
        if parent in chain:
            shown = " -> ".join([*chain[chain.index(parent) :], parent])
            raise ConfigError(
                "FLX-1008", f'environment "{parent}" extends itself', detail=f"{shown}.", hint="Take one of the extends away.", place=place
            )
        chain.append(parent)
        if len(chain) > EXTENDS_DEPTH_MAX:
            detail = f"{' -> '.join(chain)}. At most {EXTENDS_DEPTH_MAX} environments stand in a row."
            raise ConfigError("FLX-1008", f'environment "{name}" extends too many others', detail=detail, place=place)
    policies = {"policies": document.values["policies"]} if "policies" in document.values else {}
    settled = Table(policies, {path: place for path, place in document.places.items() if path[0] == "policies"})
    for each in reversed(chain):
        own = environments.table(each)
        for text in cast("list[str]", own.values.get("unset", [])):
            settled = _unset(settled, text, each, own)
        for key in STRUCTURE_KEYS:
            own = own.without(key) if key in own.values else own
        settled = settled.merged(own)
    return settled


def _unset(inherited: Table, text: str, environment: str, own: Table) -> Table:
    path = parse_key(text)
    assert path is not None, "checked when the file was loaded"
    index = cast("list[str]", own.values["unset"]).index(text)
    for depth, key in enumerate(path):
        around = inherited.table(*path[:depth]).values
        if key not in around:
            known = [write_key((*path[:depth], each)) for each in around]
            hint = did_you_mean(write_key(path[: depth + 1]), known)
            detail = f'Environment "{environment}" inherits {", ".join(known) or "nothing"} there.'
            raise NameNotFound("FLX-1013", f'no inherited key "{text}" to unset', detail=detail, hint=hint, place=own.place("unset", index))
    return inherited.without(*path)


def choose_environment(project: Project, name: str | None = None, *, variables: Mapping[str, str] | None = None) -> str:
    """The environment to take: the one that is named, else FLUXLINE_ENV's, else the file's default.

    Raises:
        NameNotFound: FLX-1007, it does not exist.
        ConfigError: FLX-1009 it is abstract; FLX-1012 none is chosen.
    """
    from_variable = "" if name is not None else (os.environ if variables is None else variables).get(ENVIRONMENT_VARIABLE, "")
    chosen = name or from_variable or project.default_environment
    if not chosen:
        hint = f'Choose one with --env or {ENVIRONMENT_VARIABLE}, or write default_environment = "..." under [project].'
        detail = (
            f"{project.path.name} has {', '.join(project.runnable)}."
            if project.runnable
            else f"{project.path.name} has none: write [environments.dev]."
        )
        raise ConfigError("FLX-1012", "no environment is chosen", detail=detail, hint=hint, place=Place(str(project.path), 1))
    if chosen not in project.tables:
        source = f"{ENVIRONMENT_VARIABLE} names it. " if from_variable else ""
        raise no_environment(chosen, Table(project.tables), source, Place(str(project.path), 1))
    if chosen in project.abstract:
        raise ConfigError(
            "FLX-1009",
            f'environment "{chosen}" is abstract',
            detail="It serves others as a start and cannot run.",
            hint=f"Choose one of {', '.join(project.runnable)}." if project.runnable else "Write an environment that extends it.",
            place=project.tables[chosen].here,
        )
    return chosen


def no_environment(name: str, known: Table, source: str, place: Place | None) -> NameNotFound:
    """The error of an environment that does not exist; `source` is a sentence on who named it."""
    detail = f"{source}The file has {', '.join(known.values) or 'none'}."
    return NameNotFound("FLX-1007", f'no environment "{name}"', detail=detail, hint=did_you_mean(name, known.values), place=place)


def missing_key(table: str, key: str, hint: str, place: Place | None) -> ConfigError:
    """The error of a key that is needed."""
    return ConfigError("FLX-1006", f'[{table}] needs the key "{key}"', hint=hint, place=place)
