"""The project file `fluxline.toml`: projects, environments, and where each name of a pipeline lives.

    project = require_project(Path("pipelines/sensors.py"))
    environment = resolve_environment(project, "dev", overrides=["embedded.rejected_share_max=1.0"])
    refuse_unsupported(environment)
    binding = binding_for(environment, "alerts", keyed=False, place=place_in_python)
    options = reveal_options(binding.options, directory=environment.project_directory, place=binding.place)

A file is checked as a whole when it is loaded: syntax, known keys and kinds of values, what extends what. What one environment
refers to is checked when that environment is resolved. Secrets stay references until `reveal_options`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from fluxline.config_keys import ENVIRONMENT, ENVIRONMENT_KEYS, STRUCTURE_KEYS, check_table
from fluxline.config_project import Project, choose_environment, find_project, load_project, missing_key, require_project
from fluxline.config_references import fill_placeholders, is_reference, refuse_references, reveal_options, seal_options
from fluxline.config_toml import Table, parse_key, parse_value, write_key, write_value
from fluxline.errors import ConfigError, DefinitionError, NameNotFound, UnsupportedByEngine, did_you_mean
from fluxline.limits import REJECT_SHARE_MAX
from fluxline.options import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from fluxline.errors import Place

__all__ = [
    "Binding",
    "Connection",
    "EmbeddedOptions",
    "Environment",
    "FlinkOptions",
    "Project",
    "Shown",
    "Table",
    "binding_for",
    "choose_environment",
    "find_project",
    "load_project",
    "refuse_unsupported",
    "render_environment",
    "require_project",
    "resolve_environment",
    "reveal_options",
    "seal_options",
    "unsupported",
]

Guarantee = Literal["at_most_once", "at_least_once", "exactly_once"]
_FLINK_DECLARED = {
    "parallelism.default": "parallelism",
    "execution.checkpointing.interval": "checkpoint_interval",
    "execution.checkpointing.savepoint-dir": "savepoint_directory",
    "state.savepoints.dir": "savepoint_directory",
    "pipeline.name": "",
    "pipeline.auto-watermark-interval": "",
    "pipeline.max-parallelism": "",
    "table.local-time-zone": "",
    "execution.runtime-mode": "",
    "table.exec.sink.not-null-enforcer": "",
    "execution.state-recovery.path": "",
}
"""Options of Flink that a declared option sets, or Fluxline itself."""
DIRECTORY_DEFAULT = ".fluxline/{environment}"


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """Options of the embedded engine.

    Attributes:
        directory: where it keeps what must survive a stop; absolute.
        rejected_share_max: a source stops when more than this share of its records is rejected.
    """

    directory: Path
    rejected_share_max: float = REJECT_SHARE_MAX


@dataclass(frozen=True, slots=True)
class FlinkOptions:
    """The cluster that runs the pipelines, and how.

    Attributes:
        gateway: address of the SQL Gateway, or None where the file does not say.
        rest: address of the job manager's REST interface, likewise.
        parallelism: how many copies of an operator run; None leaves it to the cluster.
        checkpoint_interval_ms: time between two checkpoints, likewise.
        savepoint_directory: where savepoints go, likewise.
        properties: raw options, as text.
    """

    gateway: str | None = None
    rest: str | None = None
    parallelism: int | None = None
    checkpoint_interval_ms: int | None = None
    savepoint_directory: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Connection:
    """One outside system: its connector, and all its keys with their places."""

    name: str
    connector: str
    table: Table = field(repr=False)


@dataclass(frozen=True, slots=True)
class Environment:
    """One place to run, resolved: what it inherits and what was overridden is in.

    Attributes:
        project: the project's name.
        topics: connection of sources, and of sinks without key.
        tables: connection of sinks with a key, and of lookups.
        settings: all keys, with their places.
    """

    name: str
    project: str
    engine: Literal["embedded", "flink"]
    topics: str | None
    tables: str | None
    embedded: EmbeddedOptions
    flink: FlinkOptions
    connections: Mapping[str, Connection]
    bindings: Mapping[str, Table]
    project_directory: Path
    project_file: Path
    settings: Table = field(repr=False)


@dataclass(frozen=True, slots=True)
class Binding:
    """Where one name of a pipeline lives.

    Attributes:
        name: the name.
        connection: the connection's name.
        connector: the connector's word.
        options: the connector's options as written, placeholders filled, secrets still references.
        format: the format's word, if one is chosen.
        format_options: the format's options, as written.
        delivery_guarantee: what is asked for, if anything is.
        ingest: whether workers are to bring a source's records into a topic.
        table: where everything stands.
    """

    name: str
    connection: str
    connector: str
    options: Mapping[str, object] = field(repr=False)
    format: str | None
    format_options: Mapping[str, object] = field(repr=False)
    delivery_guarantee: Guarantee | None
    ingest: bool
    table: Table = field(repr=False)

    def place(self, option: str) -> Place | None:
        """Where an option stands; where the binding or connection stands if it has none such."""
        return self.table.place(option)

    def format_place(self, option: str) -> Place | None:
        """The same for an option of the format."""
        return self.table.place("format_options", option)


def resolve_environment(
    project: Project, name: str | None = None, *, overrides: Sequence[str] = (), variables: Mapping[str, str] | None = None
) -> Environment:
    """One environment of the project, with everything that it refers to checked.

    Args:
        project: where it is.
        name: its name; if not given, FLUXLINE_ENV or the file's default decides.
        overrides: `key=value` for this run, such as `embedded.rejected_share_max=0.1`; the value is TOML, else text.
        variables: the environment variables; those of the process if not given.

    Raises:
        NameNotFound: FLX-1003 a key, FLX-1007 the environment, FLX-1014 a connection, FLX-1016 a placeholder does not exist.
        ConfigError: FLX-1004 to FLX-1006 a value; FLX-1009, FLX-1012 no environment to run; FLX-1021 an override; FLX-1022 a
            table of another engine.
    """
    chosen = choose_environment(project, name, variables=variables)
    title = write_key(("environments", chosen))
    settings = project.tables[chosen]
    for override in overrides:
        settings = _overridden(settings, override, title)
    values = settings.values
    if "engine" not in values:
        raise missing_key(title, "engine", 'Write engine = "embedded" or engine = "flink".', settings.here)
    _refuse_other_engine(settings, title)
    connections = {}
    for each, table in settings.table("connections").tables().items():
        if "connector" not in table.values:
            raise missing_key(f"{title}.{write_key(('connections', each))}", "connector", 'Write connector = "..." there.', table.here)
        connections[each] = Connection(each, cast("str", table.values["connector"]), table)
    bindings = settings.table("bindings").tables()
    uses: list[tuple[str, ...]] = [(key,) for key in ("topics", "tables") if key in values]
    uses += [("bindings", each, "connection") for each, table in bindings.items() if "connection" in table.values]
    for path in uses:
        _require_connection(cast("str", settings.table(*path[:-1]).values[path[-1]]), path, connections, settings)
    for kind, key in (("receivers", "connector"), ("policies", "action")):
        for each, table in settings.table(kind).tables().items():
            if key not in table.values:
                raise missing_key(f"{title}.{write_key((kind, each))}", key, f'Write {key} = "..." there.', table.here)
    return Environment(
        name=chosen,
        project=project.name,
        engine=cast('Literal["embedded", "flink"]', values["engine"]),
        topics=cast("str | None", values.get("topics")),
        tables=cast("str | None", values.get("tables")),
        embedded=_embedded_options(settings.table("embedded"), chosen, project.directory),
        flink=_flink_options(settings.table("flink")),
        connections=connections,
        bindings=bindings,
        project_directory=project.directory,
        project_file=project.path,
        settings=settings,
    )


def _overridden(settings: Table, override: str, title: str) -> Table:
    """The settings with one `key=value` laid over them."""
    path, text = _split_override(override)
    if path[0] in STRUCTURE_KEYS:
        raise ConfigError("FLX-1021", f'"{path[0]}" cannot be given with --set', detail="It says how the environments of the file hang together.")
    value: object = parse_value(text)
    for key in reversed(path):
        value = {key: value}
    try:
        if path[0] == "connections" and len(path) > 1:
            _require_connection(path[1], path, settings.table("connections").values, Table())
        layer = Table(cast("dict[str, object]", value), {path: None})
        check_table(layer, ENVIRONMENT, title)
    except DefinitionError as error:
        error.detail = f"{error.detail} It was given with --set {write_key(path)}.".strip()
        raise
    return settings.merged(layer)


def _split_override(override: str) -> tuple[tuple[str, ...], str]:
    """Key and value text; the first equals sign that has a whole key before it parts them."""
    for found in re.finditer("=", override):
        path = parse_key(override[: found.start()])
        if path is not None:
            return path, override[found.end() :].strip()
    key = override.partition("=")[0]  # what follows may be a secret that somebody tried to give
    raise ConfigError(
        "FLX-1021", f'"{key}" is no override', detail="It is a dotted key, an equals sign and a value.", hint="Write --set flink.parallelism=8."
    )


def _require_connection(name: str, path: tuple[str, ...], known: Mapping[str, object], settings: Table) -> None:
    if name not in known:
        raise NameNotFound(
            "FLX-1014",
            f'no connection "{name}"',
            detail=f"The environment has {', '.join(known) or 'none'}.",
            hint=did_you_mean(name, known),
            place=settings.place(*path),
        )


def _refuse_other_engine(settings: Table, title: str) -> None:
    """Refuse tables that the engine would ignore."""
    engine = settings.values["engine"]
    for key in ("flink",) if engine == "embedded" else ("embedded", "broker"):
        if key in settings.values:
            detail = f'Its engine is "{engine}", which does not read this table.'
            hint = f'Take it away; where it is inherited, write unset = ["{key}"].'
            raise ConfigError("FLX-1022", f'[{title}] has "{key}"', detail=detail, hint=hint, place=settings.place(key))


def _embedded_options(table: Table, environment: str, project_directory: Path) -> EmbeddedOptions:
    written = table.values.get("directory", DIRECTORY_DEFAULT)
    refuse_references(written, '"embedded.directory"', table.place("directory"))
    directory = cast("str", fill_placeholders(written, {"environment": environment}, table.place("directory")))
    share = cast("float", table.values.get("rejected_share_max", REJECT_SHARE_MAX))
    return EmbeddedOptions(project_directory / directory, float(share))


def _flink_options(table: Table) -> FlinkOptions:
    values = table.values
    properties = {}
    for key, value in cast("Mapping[str, object]", values.get("properties", {})).items():
        if key in _FLINK_DECLARED:
            option = _FLINK_DECLARED[key]
            hint = f'Write {option} = ... in the table "flink" instead.' if option else "Take it away: Fluxline sets it, and rows depend on it."
            raise ConfigError("FLX-1024", f'"{key}" is not for raw properties of Flink', hint=hint, place=table.place("properties", key))
        if isinstance(value, dict | list):
            hint = 'Write the key in quotes: "table.exec.state.ttl" = "1 d".'
            raise ConfigError("FLX-1024", f'property "{key}" of Flink is no single value', hint=hint, place=table.place("properties", key))
        properties[key] = ("true" if value else "false") if isinstance(value, bool) else str(value)
    interval = values.get("checkpoint_interval")
    return FlinkOptions(
        gateway=cast("str | None", values.get("gateway")),
        rest=cast("str | None", values.get("rest")),
        parallelism=cast("int | None", values.get("parallelism")),
        checkpoint_interval_ms=None if interval is None else parse_duration(interval, name="checkpoint_interval"),
        savepoint_directory=cast("str | None", values.get("savepoint_directory")),
        properties=properties,
    )


def binding_for(environment: Environment, name: str, *, keyed: bool, place: Place | None = None) -> Binding:
    """Where a name of a pipeline lives: its entry under `bindings`, else the environment's `topics` or `tables`.

    Args:
        environment: the resolved environment.
        name: name of a source, sink or lookup.
        keyed: whether `tables` holds it if nothing else is said: sinks with a key, and lookups.
        place: where the name stands in Python, for errors.

    Raises:
        NameNotFound: FLX-1015 the name is not bound; FLX-1016 a placeholder does not exist.
        ConfigError: FLX-1006 options of a format without a format; FLX-1017 `${word}` is no reference.
    """
    entry = environment.bindings.get(name)
    default = environment.tables if keyed else environment.topics
    chosen = cast("str | None", entry.values.get("connection", default)) if entry is not None else default
    if chosen is None:
        raise _unbound(environment, name, keyed=keyed, bound=entry is not None, place=place)
    connection = environment.connections[chosen]
    table = connection.table
    if entry is not None:
        if "format_options" in table.values and entry.values.get("format", table.values.get("format")) != table.values.get("format"):
            table = table.without("format_options")  # another format, which these options say nothing of
        table = table.merged(entry.without("connection") if "connection" in entry.values else entry)
    words = {"name": name, "environment": environment.name}
    filled = {key: fill_placeholders(value, words, table.place(key)) for key, value in table.values.items()}
    del filled["connector"]
    chosen_format = cast("str | None", filled.pop("format", None))
    format_options = cast("dict[str, object]", filled.pop("format_options", {}))
    if format_options and chosen_format is None:
        hint = f'Write format = "..." in [{write_key(("environments", environment.name, "connections", chosen))}].'
        raise ConfigError("FLX-1006", f'"{name}" has options of a format and no format', hint=hint, place=table.place("format_options"))
    guarantee = cast("Guarantee | None", filled.pop("delivery_guarantee", None))
    own = entry is not None and "ingest" in entry.values  # A key of bindings alone: a connection may serve sinks too.
    ingest = own and cast("bool", filled.pop("ingest"))
    return Binding(name, chosen, connection.connector, filled, chosen_format, format_options, guarantee, ingest, table)


def _unbound(environment: Environment, name: str, *, keyed: bool, bound: bool, place: Place | None) -> NameNotFound:
    key, lives = ("tables", "sinks with a key, and lookups, live") if keyed else ("topics", "sources, and sinks without key, live")
    title = write_key(("environments", environment.name))
    entry = f'Its entry in [{title}.bindings] names no "connection"' if bound else f"It has no entry in [{title}.bindings]"
    lines = []
    connection = next(iter(environment.connections), None)
    if connection is None:
        connection = "files"
        lines += [f"[{title}.connections.files]", 'connector = "filesystem"', 'path = "data/{name}.ndjson"', 'format = "json"']
    lines += [f"[{title}.{write_key(('bindings', name))}]", f"connection = {write_value(connection)}"]
    return NameNotFound(
        "FLX-1015",
        f'"{name}" lives nowhere in environment "{environment.name}"',
        detail=f'{entry}, and the environment has no "{key}", where {lives} if nothing else is said.',
        hint=f"{'Write' if bound else 'Add'} in {environment.project_file.name}:\n" + "\n".join(f"    {line}" for line in lines),
        place=place,
    )


def unsupported(environment: Environment) -> tuple[UnsupportedByEngine, ...]:
    """What the environment asks for and this version does not do: one error each, not raised."""
    settings = environment.settings
    found = []

    def refuse(fact: str, hint: str, *path: str) -> None:
        detail = "This version reads and checks it, and does not act on it."
        found.append(UnsupportedByEngine("FLX-1020", fact, detail=detail, hint=hint, place=settings.place(*path)))

    for key in ("service", "application"):
        if key in settings.table("flink").values:
            refuse("this version knows no managed Flink", f'Take "{key}" away, and name a gateway.', "flink", key)
    if "broker" in settings.values:
        refuse("this version has no broker", 'Take "broker" away, or write unset = ["broker"].', "broker")
    for name in settings.table("receivers").values:
        refuse(f'this version sends no alerts to receiver "{name}"', "Take the receiver away, or unset it.", "receivers", name)
    for tag, policy in settings.table("policies").values.items():
        action = cast("Mapping[str, object]", policy)["action"]
        if action != "allow":
            hint = f'Write {write_key(("policies", tag))} = {{ action = "allow" }} in this environment if its data may be seen.'
            refuse(f'this version cannot {action} columns with the tag "{tag}"', hint, "policies", tag)
    for key in ("checkpoint_interval", "memory"):
        if key in settings.table("embedded").values:
            refuse(f'the embedded engine has no "{key}" in this version', "Take it away, or unset it.", "embedded", key)
    return tuple(found)


def refuse_unsupported(environment: Environment, engine: Literal["embedded", "flink"] | None = "embedded") -> None:
    """Refuse an environment that is to run and asks for what this version does not do, or for another engine.

    Args:
        environment: it is to run.
        engine: the one that the caller starts; None if it starts none.

    Raises:
        UnsupportedByEngine: FLX-1020, FLX-1023.
    """
    if engine is not None and environment.engine != engine:
        fact = f'environment "{environment.name}" runs on the engine "{environment.engine}"'
        other = 'Start it there with "fluxline submit"' if environment.engine == "flink" else 'Run it in this process with "fluxline run"'
        hint = f"{other}, or choose another environment with --env."
        raise UnsupportedByEngine("FLX-1023", fact, hint=hint, place=environment.settings.place("engine"))
    for error in unsupported(environment):
        raise error


@dataclass(frozen=True, slots=True)
class Shown:
    """One value of a resolved environment for people: dotted key, value as TOML, and where it comes from.

    `origin` is the place as text, `--set` or `default`.
    """

    key: str
    value: str
    origin: str
    place: Place | None


def render_environment(environment: Environment) -> list[Shown]:
    """Everything that holds in an environment, with secrets as their references.

    A literal under a name that says secret is masked: it has no right to be there, and others may be looking.
    """
    settings = environment.settings
    words = {"environment": environment.name, "name": "{name}"}
    shown = []
    for path, value in settings.leaves():
        if value == {}:
            continue
        place = settings.place(*path)
        filled = fill_placeholders(value, words, place)
        shown.append(Shown(write_key(path), write_value(_masked(filled, path[-1])), "--set" if place is None else str(place), place))
    if environment.engine == "embedded":
        options = environment.embedded
        defaults = {"directory": fill_placeholders(DIRECTORY_DEFAULT, words, None), "rejected_share_max": options.rejected_share_max}
        missing = {key: value for key, value in defaults.items() if key not in settings.table("embedded").values}
        shown += [Shown(f"embedded.{key}", write_value(value), "default", None) for key, value in missing.items()]
    order = list(ENVIRONMENT_KEYS)
    return sorted(shown, key=lambda each: order.index(each.key.partition(".")[0]))


_SECRET_NAME = re.compile(r"(password|passphrase|secret|token|salt|credentials|private_key|api_key|access_key)$", re.IGNORECASE)
_USER_IN_URL = re.compile(r"(?<=://)[^/@\s]*:[^/@\s]*(?=@)")


def _masked(value: object, name: str) -> object:
    if isinstance(value, list):
        return [_masked(item, name) for item in value]
    if isinstance(value, dict):
        return {key: _masked(item, key) for key, item in value.items()}
    if is_reference(value):
        return value
    if _SECRET_NAME.search(name):
        return "***"
    return _USER_IN_URL.sub("***", value) if isinstance(value, str) else value
