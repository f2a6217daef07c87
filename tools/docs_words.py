"""The pages of the dictionaries: connectors, formats, functions."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from typing import TYPE_CHECKING

from tools.docs_text import code, page, table, toml

if TYPE_CHECKING:
    from fluxline.library.function import Aggregate, Function
    from fluxline.options import Options

_TYPES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false", "timedelta": "duration", "Secret": "secret"}
_FAMILIES = {
    "arithmetic": "Arithmetic", "comparison": "Comparison", "conditional": "Conditions and choices", "logic": "Logic", "mathematics": "Mathematics",
    "temporal": "Dates and times", "text": "Text",
}  # fmt: skip


def options_table(options: type[Options]) -> str:
    """The declared options of a connector or format."""
    from fluxline.options import describe_options

    rows = []
    for info in describe_options(options):
        default = "required" if info.required else "none" if info.default is None else code(toml(info.default))
        example = "" if info.example is None else f" Example: {code(f'{info.name} = {toml(info.example)}')}"
        about = info.description + example + (" A secret." if info.secret else "")
        rows.append((code(info.name), _type_words(info.type_text()), default, about, code(info.flink) or "none"))
    return table(("option", "type", "default", "meaning", "Flink's key"), rows) if rows else "It has no options."


def _type_words(text: str) -> str:
    """The type of an option in the words of the project file."""
    if '"' in text:
        return " or ".join(code(word) for word in text.split(" | "))
    if text.startswith("dict"):
        return "table"
    if text.startswith("list"):
        return "list"
    return _TYPES.get(text.removesuffix(" | None"), text.removesuffix(" | None"))


def connectors_page() -> str:
    """Every connector: what it can do, what it guarantees, its options."""
    from fluxline.connectors import CONNECTORS, LATER, load_connector

    parts = ["# Connectors", "A connection of an environment names a connector and sets its options.", _all_connectors()]
    for name in sorted(CONNECTORS):
        connector = load_connector(name)
        parts += [f"## {name}", connector.doc, options_table(connector.options)]
        if name == "datagen":
            parts += ["### What a field can hold", _field_settings()]
    later = table(("connector", "why"), ((code(name), text) for name, text in sorted(LATER.items())))
    return page([*parts, "## Refused until later", later])


def _all_connectors() -> str:
    """All connectors side by side."""
    from fluxline.connectors import CONNECTORS, load_connector

    rows = []
    for name in sorted(CONNECTORS):
        word = load_connector(name)
        appends = word.appends_guarantee if word.sink else ""
        upserts = (word.upserts_guarantee if word.upserts else "refused") if word.sink else ""
        source = "no" if word.source is None else "yes, can be read again" if word.source_rewinds else "yes, cannot be read again"
        rows.append(
            (
                f"[{name}](#{name})",
                source,
                "yes" if word.sink else "no",
                "yes" if word.takes_format else "no",
                appends.replace("_", " "),
                upserts.replace("_", " "),
            )
        )
    return table(("connector", "source", "sink", "takes a format", "delivery of appended rows", "delivery of updates"), rows)


def _field_settings() -> str:
    """What stands in an entry of datagen's `fields`."""
    from fluxline.connectors.datagen.options import FieldSpec

    names = {"step_ms": "step", "max_past_ms": "max_past", "parts": "element, key, value, fields"}
    rows = []
    for name, about in re.findall(r"^ {4}(\w+): (.+)$", inspect.getdoc(FieldSpec) or "", re.MULTILINE):
        shown = ", ".join(code(part) for part in names.get(name, name).split(", "))
        rows.append((shown, about))
    return table(("setting", "meaning"), rows)


def formats_page() -> str:
    """Every format with its options."""
    from fluxline.formats import FORMATS, load_format

    about = (
        'How bytes become columns and back. A connection or binding chooses one, such as `format = "json"`; its options stand in `format_options`. '
        "What the decoders accept: [decoding](../concepts/decoding.md)."
    )
    parts = ["# Formats", about]
    for name in sorted(FORMATS):
        chosen = load_format(name)
        parts += [f"## {name}", chosen.doc, options_table(chosen.options)]
    return page(parts)


def functions_page() -> str:
    """Every aggregate, and every scalar function by family."""
    from fluxline.library import AGGREGATES

    about = (
        "Types, NULL and errors of a function are those of Flink SQL. NULL in an argument gives NULL where nothing else is said. Flink's spelling "
        "is what the Flink engine will write; that engine is not part of this version."
    )
    rows = [_aggregate_row(word) for word in AGGREGATES.values()]
    header = ("function", "meaning", "takes", "example", "Python", "Flink SQL")
    parts = ["# Functions", about, "## Aggregates", "One value for each group. NULL values do not count.", table(header, rows)]
    for family, words in function_families().items():
        parts += [f"## {_FAMILIES.get(family, family.capitalize())}", table(header, [_function_row(word) for word in words])]
    return page(parts)


def function_families() -> dict[str, tuple[Function, ...]]:
    """The scalar functions by the file of the library that holds them."""
    import fluxline.library
    from fluxline.library import FUNCTIONS

    found = {}
    for module in sorted(pkgutil.iter_modules(fluxline.library.__path__), key=lambda item: item.name):
        words = getattr(importlib.import_module(f"fluxline.library.{module.name}"), "FUNCTIONS", ())
        if words:
            found[module.name] = tuple(words)
    listed = {word.name for words in found.values() for word in words}
    assert listed == set(FUNCTIONS), f"in the dictionary or in a family only: {sorted(listed ^ set(FUNCTIONS))}"
    return found


def _function_row(word: Function) -> tuple[str, ...]:
    from fluxline.library.examples import sql_text

    fails = f" A row with {word.failure} is rejected." if word.failure else ""
    return (
        code(word.name),
        word.doc + fails,
        word.takes,
        f"{code(sql_text(word))} = {shown(word.example[1])}",
        code(word.python),
        code(word.flink or "") or "none",
    )


def _aggregate_row(word: Aggregate) -> tuple[str, ...]:
    values, result = word.example
    example = f"of {', '.join(shown(value) for value in values)}: {shown(result)}"
    return (code(word.name), word.doc, word.takes or "rows", example, code(word.python), code(word.flink))


def shown(value: object) -> str:
    """A value as SQL shows it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).upper()
    return code(f"'{value}'" if isinstance(value, str) else value)
