"""What the dictionaries hold, for people: connectors, formats and functions as plain data; and a plan as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from fluxline.config_toml import write_value
from fluxline.connectors import CONNECTORS, load_connector
from fluxline.connectors import GROUP as CONNECTORS_GROUP
from fluxline.dictionary import words
from fluxline.errors import FluxlineError, NameNotFound, did_you_mean
from fluxline.formats import FORMATS, load_format
from fluxline.formats import GROUP as FORMATS_GROUP
from fluxline.options import describe_options, format_duration
from fluxline.plan.json import plan_to_json
from fluxline.planner.rules import apply_rules

if TYPE_CHECKING:
    from fluxline.library.function import Aggregate, Function
    from fluxline.options import OptionInfo, Options
    from fluxline.plan.json import JSONValue
    from fluxline.plan.nodes import Plan


@dataclass(frozen=True, slots=True)
class ShownOption:
    """One declared option; texts of the default and the example as TOML, empty where there is none."""

    name: str
    type: str
    description: str
    required: bool
    secret: bool
    default: str
    example: str
    flink: str


@dataclass(frozen=True, slots=True)
class ShownConnector:
    """One connector. `problem` says why nothing more is known of it, such as an extra that is not installed."""

    name: str
    doc: str
    reads: bool = False
    writes: bool = False
    takes_format: bool = False
    upserts: bool = False
    needs_key: bool = False
    appends_guarantee: str = ""
    upserts_guarantee: str = ""
    rewinds: bool = False
    options: tuple[ShownOption, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ShownFormat:
    """One format; `problem` as for a connector."""

    name: str
    doc: str
    options: tuple[ShownOption, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ShownFunction:
    """One function or operator of the dictionary, with its example as text."""

    name: str
    kind: Literal["scalar", "aggregate"]
    doc: str
    takes: str
    python: str
    flink: str
    example: str


def connectors() -> list[ShownConnector]:
    """All connectors, those of other packages included; one that cannot be loaded says why."""
    found = []
    for name in sorted(words(CONNECTORS, group=CONNECTORS_GROUP)):
        try:
            found.append(connector(name))
        except FluxlineError as error:
            found.append(ShownConnector(name, "", problem=error.fact))
    return found


def connector(name: str) -> ShownConnector:
    """One connector.

    Raises:
        NameNotFound: FLX-1120, it does not exist.
        FluxlineError: it cannot be loaded.
    """
    word = load_connector(name)
    writes = word.sink is not None
    return ShownConnector(
        name=word.name,
        doc=word.doc,
        reads=word.source is not None,
        writes=writes,
        takes_format=word.takes_format,
        upserts=word.upserts,
        needs_key=word.needs_key,
        appends_guarantee=word.appends_guarantee if writes and not word.needs_key else "",
        upserts_guarantee=word.upserts_guarantee if writes and word.upserts else "",
        rewinds=word.source is not None and word.source_rewinds,
        options=_options(word.options),
    )


def formats() -> list[ShownFormat]:
    """All formats, those of other packages included; one that cannot be loaded says why."""
    found = []
    for name in sorted(words(FORMATS, group=FORMATS_GROUP)):
        try:
            found.append(format_named(name))
        except FluxlineError as error:
            found.append(ShownFormat(name, "", problem=error.fact))
    return found


def format_named(name: str) -> ShownFormat:
    """One format.

    Raises:
        NameNotFound: FLX-1120, it does not exist.
        FluxlineError: it cannot be loaded.
    """
    word = load_format(name)
    return ShownFormat(word.name, word.doc, _options(word.options))


def functions() -> list[ShownFunction]:
    """All functions and operators, then all aggregates, by family as the dictionary has them."""
    from fluxline.library import AGGREGATES, FUNCTIONS

    return [*map(_scalar, FUNCTIONS.values()), *map(_aggregate, AGGREGATES.values())]


def function(name: str) -> ShownFunction:
    """One function, operator or aggregate, in any case.

    Raises:
        NameNotFound: FLX-2106, with the nearest spelling.
    """
    found = {each.name: each for each in functions()}
    if name.upper() not in found:
        raise NameNotFound("FLX-2106", f'no function "{name}"', hint=did_you_mean(name.upper(), found))
    return found[name.upper()]


def plan_json(plan: Plan) -> dict[str, JSONValue]:
    """The plan as it will run, as plain JSON data."""
    return plan_to_json(apply_rules(plan))


_TYPES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "timedelta": "duration"}


def _options(options: type[Options]) -> tuple[ShownOption, ...]:
    return tuple(
        ShownOption(
            name=info.name,
            type="secret" if info.secret else _TYPES.get(info.type_text(), info.type_text()),
            description=info.description,
            required=info.required,
            secret=info.secret,
            default="" if info.required or info.default is None else _toml(info.default, info),
            example="" if info.example is None else _toml(info.example, info),
            flink=info.flink,
        )
        for info in describe_options(options)
    )


def _toml(value: object, info: OptionInfo) -> str:
    """A value as the project file has it; a secret stays hidden."""
    if info.secret and not (isinstance(value, str) and value.startswith("${")):
        return write_value("***")
    if isinstance(value, timedelta):
        value = format_duration(round(value / timedelta(milliseconds=1)))
    return write_value(value)


def _scalar(word: Function) -> ShownFunction:
    from fluxline.library.examples import literal, sql_text

    example = f"{sql_text(word)} is {literal(word.example[1])}" if word.flink is not None else ""
    return ShownFunction(word.name, "scalar", word.doc, word.takes, word.python, word.flink or "", example)


def _aggregate(word: Aggregate) -> ShownFunction:
    from fluxline.library.examples import literal

    values, result = word.example
    example = f"{word.name} over {', '.join(map(literal, values))} is {literal(result)}"
    return ShownFunction(word.name, "aggregate", word.doc, word.takes, word.python, word.flink, example)
