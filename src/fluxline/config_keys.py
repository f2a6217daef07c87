"""What may stand in `fluxline.toml`: every key with its kind and one sentence, and the check of a file against them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fluxline.config_references import is_reference
from fluxline.config_toml import parse_key, write_key
from fluxline.errors import ConfigError, NameNotFound, did_you_mean
from fluxline.options import parse_duration

if TYPE_CHECKING:
    from fluxline.config_toml import Table
    from fluxline.errors import Place

Kind = Literal["text", "word", "texts", "paths", "truth", "count", "share", "duration", "secret", "refused", "table", "named"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the file.

    Attributes:
        kind: what it takes. `word` is text without blanks that serves as a name, `paths` a list of dotted keys; `table` has
            known keys, `named` holds one table per name; a `refused` key is known only to say what to write instead.
        doc: one sentence for people.
        choices: the words that it takes, if it takes words.
        keys: known keys of a table.
        open: whether the table may have further keys, which somebody else checks.
        each: what every table of a `named` one looks like.
        names: what those names may be: anything, words, or words that can stand in a path.
    """

    kind: Kind
    doc: str
    choices: tuple[str, ...] = ()
    keys: Mapping[str, Key] = field(default_factory=dict)
    open: bool = False
    each: Key | None = None
    names: Literal["any", "word", "path"] = "word"


def _table(doc: str, keys: Mapping[str, Key], *, others: bool = False) -> Key:
    return Key("table", doc, keys=keys, open=others)


def _named(doc: str, each: Key, *, names: Literal["any", "word", "path"] = "word") -> Key:
    return Key("named", doc, each=each, names=names)


GUARANTEES = ("at_most_once", "at_least_once", "exactly_once")
_FORMATTED = {
    "format": Key("word", "How the bytes become rows and back."),
    "format_options": _table("Options of the format.", {}, others=True),
    "delivery_guarantee": Key("text", "What is promised for written rows when something fails.", choices=GUARANTEES),
}
_POLICY = _table(
    "What is done with columns of one tag.",
    {
        "action": Key("text", "What is done with the values.", choices=("hash", "redact", "partial", "encrypt", "allow")),
        "salt": Key("secret", "What a hash is salted with."),
    },
)
_POLICIES = _named("What is done with tagged columns.", _POLICY)
_CONNECTION = _table(
    "One outside system.", {"connector": Key("word", "The word of the system, such as filesystem or kafka."), **_FORMATTED}, others=True
)
_BINDING = _table(
    "Where one name of the pipelines lives, if not where the others do.",
    {
        "connection": Key("word", "Another connection than the environment's."),
        "connector": Key("refused", 'A binding does not choose a connector: add a connection with it, and name that as connection = "...".'),
        **_FORMATTED,
        "ingest": Key("truth", "Whether workers bring the records of a source into a topic, from which Flink reads them."),
    },
    others=True,
)
_RECEIVER = _table("Where alerts go.", {"connector": Key("word", "The word of the system, such as print or webhook.")}, others=True)
_EMBEDDED = _table(
    "Options of the embedded engine.",
    {
        "directory": Key("text", "Where the engine keeps what must survive a stop."),
        "rejected_share_max": Key("share", "A source stops when more than this share of its records is rejected."),
        "checkpoint_interval": Key("duration", "Time between two checkpoints."),
        "memory": Key("text", "Memory that state may take."),
    },
)
_FLINK = _table(
    "The cluster that runs the pipelines.",
    {
        "gateway": Key("text", "Address of the SQL Gateway."),
        "rest": Key("text", "Address of the job manager's REST interface."),
        "service": Key("text", "The managed service that runs Flink."),
        "application": Key("text", "The application's name in the managed service."),
        "parallelism": Key("count", "How many copies of an operator run."),
        "checkpoint_interval": Key("duration", "Time between two checkpoints."),
        "savepoint_directory": Key("text", "Where savepoints go."),
        "properties": _table("Raw options, verbatim to Flink.", {}, others=True),
    },
)
_BROKER = _table(
    "The Kafka-compatible broker in the process.",
    {"listen": Key("text", "Host and port to listen on."), "directory": Key("text", "Where the log is kept.")},
)
ENVIRONMENT_KEYS: Mapping[str, Key] = {
    "engine": Key("text", "What runs the pipelines.", choices=("embedded", "flink")),
    "topics": Key("word", "The connection where sources, and sinks without key, live if nothing else is said."),
    "tables": Key("word", "The connection where sinks with a key, and lookups, live if nothing else is said."),
    "extends": Key("word", "The environment that this one starts from."),
    "abstract": Key("truth", "Whether it only serves as a start for others and cannot run."),
    "unset": Key("paths", "Inherited keys that do not hold here."),
    "embedded": _EMBEDDED,
    "flink": _FLINK,
    "broker": _BROKER,
    "connections": _named("The outside systems.", _CONNECTION),
    "bindings": _named("The exceptions of single names.", _BINDING, names="any"),
    "receivers": _named("Where alerts go.", _RECEIVER),
    "policies": _POLICIES,
}
STRUCTURE_KEYS = ("extends", "abstract", "unset")  # Of one table of the file; they do not pass to those that extend it.
ENVIRONMENT = _table("One place to run.", ENVIRONMENT_KEYS)
PROJECT_FILE = _table(
    "A project.",
    {
        "project": _table(
            "What holds in every environment.",
            {
                "name": Key("text", "The project's name."),
                "requires": Key("text", "The versions of Fluxline that may run it."),
                "pipelines": Key("texts", "The files that define the pipelines, as patterns."),
                "default_environment": Key("word", "The environment that is taken if none is named."),
            },
        ),
        "policies": _POLICIES,
        "environments": _named("The places to run.", ENVIRONMENT, names="path"),
    },
)


def check_table(table: Table, key: Key, title: str, path: tuple[str, ...] = ()) -> None:
    """Check all keys below a table.

    Args:
        table: the values, and where they stand.
        key: what the table may hold.
        title: the path of `table` itself in the file, as written there; empty for the whole file.
        path: where below `table` this check is.

    Raises:
        NameNotFound: FLX-1003, a key does not exist.
        ConfigError: FLX-1004 a value is of another kind; FLX-1005 a value cannot be.
    """
    values: object = table.values
    for step in path:
        assert isinstance(values, Mapping)
        values = values[step]
    assert isinstance(values, Mapping)
    for name, value in values.items():
        below = (*path, name)
        place = table.place(*below)
        known = key.each if key.kind == "named" else key.keys.get(name)
        if known is None and key.open:
            continue
        if known is None:
            detail = f"It has {', '.join(key.keys)}."
            raise NameNotFound(
                "FLX-1003", f'{_header(title, path)} has no key "{name}"', detail=detail, hint=did_you_mean(name, key.keys), place=place
            )
        if key.kind == "named" and not _NAMES[key.names][0].fullmatch(name):
            raise ConfigError("FLX-1005", f'"{name}" of {_header(title, path)} is no name', detail=_NAMES[key.names][1], place=place)
        _check_value(value, known, name, _header(title, path), place)
        if known.kind in ("table", "named"):
            check_table(table, known, title, below)


def _header(title: str, path: tuple[str, ...]) -> str:
    """The table's header as the file would have it."""
    inner = ".".join(part for part in (title, write_key(path)) if part)
    return f"[{inner}]" if inner else "fluxline.toml"


_NAMES = {
    "any": (re.compile(r".+", re.DOTALL), "A name is not empty."),
    "word": (re.compile(r"[^\s{}$]+"), "A name has no blanks, braces or dollar signs."),
    "path": (re.compile(r"[A-Za-z0-9_-]+"), "It becomes a part of paths: a name has only letters, digits, _ and -."),
}
_KINDS: Mapping[Kind, tuple[tuple[type, ...], str]] = {
    "text": ((str,), "text"),
    "word": ((str,), "text"),
    "texts": ((list,), "a list of texts"),
    "paths": ((list,), "a list of texts"),
    "truth": ((bool,), "true or false"),
    "count": ((int,), "a whole number"),
    "share": ((int, float), "a number"),
    "duration": ((str,), 'a duration such as "10 seconds"'),
    "secret": ((str,), 'a reference such as "${env:NAME}"'),
    "table": ((dict,), "a table"),
    "named": ((dict,), "tables"),
}


def _check_value(value: object, key: Key, name: str, header: str, place: Place | None) -> None:
    if key.kind == "refused":
        raise NameNotFound("FLX-1003", f'{header} has no key "{name}"', hint=key.doc, place=place)
    if key.kind == "secret" and place is not None:
        place = place.without_line()
    types, words = _KINDS[key.kind]
    fits = isinstance(value, types) and (bool in types or not isinstance(value, bool))
    if isinstance(value, list):
        fits = fits and all(isinstance(item, str) for item in value)
    if not fits:
        fact = f'"{name}" of {header} takes {words}, not {_kind_of(value)}'
        raise ConfigError("FLX-1004", fact, detail=key.doc, hint=_hint_for(key, name, value), place=place)
    problem = _problem(value, key)
    if problem:
        hint = did_you_mean(str(value), key.choices) if key.choices else ""
        shown = "" if key.kind == "secret" else f" {value!r}" if not isinstance(value, str) else f' "{value}"'
        raise ConfigError("FLX-1005", f'"{name}" of {header} cannot be{shown or " a literal"}', detail=problem, hint=hint, place=place)
    if key.kind == "duration":
        parse_duration(value, name=name, place=place)


def _problem(value: object, key: Key) -> str:
    """Why a value of the right kind cannot be; empty if it can."""
    if key.choices and value not in key.choices:
        return f"It is one of {', '.join(key.choices)}."
    if key.kind == "secret" and not is_reference(value):
        return 'A secret is never written in the file; write a reference such as "${env:NAME}".'
    if key.kind == "word" and isinstance(value, str) and not _NAMES["word"][0].fullmatch(value):
        return _NAMES["word"][1]
    if key.kind == "text" and isinstance(value, str) and not value.strip():
        return "It is empty."
    if key.kind == "count" and isinstance(value, int) and value < 1:
        return "The least value is 1."
    if key.kind == "share" and isinstance(value, int | float) and not 0 <= value <= 1:
        return "It lies between 0 and 1."
    if key.kind == "paths" and isinstance(value, list):
        unreadable = [item for item in value if parse_key(item) is None]
        return f'"{unreadable[0]}" is no dotted key.' if unreadable else ""
    return ""


def _hint_for(key: Key, name: str, value: object) -> str:
    """What to write instead, where a value of another kind shows what was meant."""
    if key.kind in ("texts", "paths") and isinstance(value, str):
        return f'Write {name} = ["{value}"].'
    if isinstance(value, str) and "connection" in key.keys:
        return f'Write {name} = {{ connection = "{value}" }}.'
    if isinstance(value, str) and "connector" in key.keys:
        return f'Write {name} = {{ connector = "{value}" }}.'
    return ""


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "true or false"
    kinds: tuple[tuple[type, str], ...] = ((int, "a whole number"), (float, "a number"), (str, "text"), (list, "a list"), (dict, "a table"))
    return next((words for kind, words in kinds if isinstance(value, kind)), "a date or time")
