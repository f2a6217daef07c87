"""The options of the connector `datagen`: how many rows, how fast, and what each field holds.

Flink writes `'fields.id.kind' = 'sequence'`; here the same is a table of tables:

    rows_per_second = 100
    fields = { id = { kind = "sequence", start = 1, end = 1000 }, price = { min = 0.5, max = 9.5, null_rate = 0.1 } }

Elements of an ARRAY, keys and values of a MAP and fields of a ROW have their own: `tags = { length = 2, element = { length = 8 } }`,
`place = { fields = { city = { length = 12 } } }`. `step` (times in sequence), `seed` and `partitions` are not Flink's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fluxline.errors import ConfigError, did_you_mean
from fluxline.limits import DATAGEN_LENGTH_MAX, PARTITIONS_MAX
from fluxline.options import Options, option, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RANDOM_ONLY = ("min", "max", "length", "max_past", "element", "key", "value", "fields")
SEQUENCE_ONLY = ("start", "end", "step")
SETTINGS = ("kind", "null_rate", *RANDOM_ONLY, *SEQUENCE_ONLY)


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """What one field holds.

    Attributes:
        kind: `random`, or `sequence`: one value after the other.
        min: least random number, inclusive.
        max: greatest random number, inclusive.
        start: first value of a sequence.
        end: last value of a sequence, where the source ends.
        step_ms: from one time of a sequence to the next.
        length: characters, bytes or elements.
        max_past_ms: how far in front of the clock a random time lies at most.
        null_rate: share of NULLs.
        parts: of nested types: what their parts hold, by `element`, `key`, `value` or the field's name.
    """

    kind: str = "random"
    min: float | str | None = None
    max: float | str | None = None
    start: int | datetime | None = None
    end: int | None = None
    step_ms: int | None = None
    length: int | None = None
    max_past_ms: int | None = None
    null_rate: float = 0.0
    parts: Mapping[str, FieldSpec] = field(default_factory=dict)

    def given(self, name: str) -> bool:
        """Whether a setting was written."""
        value = getattr(self, {"step": "step_ms", "max_past": "max_past_ms"}.get(name, name))
        return value is not None


class DatagenOptions(Options):
    """Options of the connector `datagen`."""

    rows_per_second: int = option("Rows made in a second, by all partitions together.", default=10_000, minimum=1, flink="rows-per-second")
    number_of_rows: int | None = option("Rows after which the source ends; without it, it does not.", default=None, minimum=0, flink="number-of-rows")
    seed: int = option("The same seed gives the same rows.", default=0, minimum=0)
    partitions: int = option("Partitions among which the rows are dealt out in turn.", default=1, minimum=1)
    fields: dict[str, object] = option(
        "What each field holds; without an entry it is random over its type.",
        default={},
        example={"id": {"kind": "sequence", "start": 1, "end": 9}},
        flink="fields",
    )

    def validate(self, refuse: Callable[[str, str], ConfigError]) -> None:
        """Every field's settings exist and are of the right type; whether they fit the schema is checked with it."""
        if self.partitions > PARTITIONS_MAX:
            raise refuse("partitions", f"The most is {PARTITIONS_MAX}.")
        for name, raw in self.fields.items():
            read_spec(name, raw, lambda sentence: refuse("fields", sentence), nested=False)

    def specs(self) -> dict[str, FieldSpec]:
        """What each field holds, by name; only of those that have an entry."""
        return {name: read_spec(name, raw, lambda sentence: ConfigError("FLX-1106", sentence), nested=False) for name, raw in self.fields.items()}

    def rows_total(self) -> int | None:
        """Rows after which the source ends: the number of rows, or the shortest sequence that has an end."""
        counts = [] if self.number_of_rows is None else [self.number_of_rows]
        for spec in self.specs().values():
            if spec.end is not None and isinstance(spec.start, int):
                counts.append(spec.end - spec.start + 1)
        return min(counts, default=None)


def read_spec(path: str, raw: object, refuse: Callable[[str], ConfigError], *, nested: bool) -> FieldSpec:
    """The settings of one field.

    Args:
        path: the field's name, with points in front of nested parts, for messages.
        raw: as TOML gives it.
        refuse: makes the error for a sentence.
        nested: whether it is part of an ARRAY, MAP or ROW.

    Raises:
        ConfigError: what `refuse` made.
    """
    if not isinstance(raw, dict):
        raise refuse(f'Field "{path}" takes a table of settings such as {{ kind = "random" }}, not {raw!r}.')
    kind = _one("kind", raw, path, refuse, str, "random")
    if kind not in ("random", "sequence"):
        raise refuse(f'The kind of field "{path}" is "random" or "sequence", not {kind!r}. {did_you_mean(str(kind), ("random", "sequence"))}'.strip())
    for name in raw:
        if name not in SETTINGS:
            raise refuse(f'Field "{path}" has no setting "{name}". It has {", ".join(SETTINGS)}. {did_you_mean(str(name), SETTINGS)}'.strip())
        if name in (RANDOM_ONLY if kind == "sequence" else SEQUENCE_ONLY):
            raise refuse(f'Field "{path}" is of kind "{kind}", which has no setting "{name}".')
    if kind == "sequence" and nested:
        raise refuse(f'Field "{path}" is part of another, and a sequence counts whole rows. Make it random.')
    null_rate = _one("null_rate", raw, path, refuse, float, 0.0)
    if not 0 <= null_rate <= 1:
        raise refuse(f'The null_rate of field "{path}" is a share from 0 to 1, not {null_rate}.')
    length = _one("length", raw, path, refuse, int, None)
    if length is not None and not 1 <= length <= DATAGEN_LENGTH_MAX:
        raise refuse(f'The length of field "{path}" is 1 to {DATAGEN_LENGTH_MAX}, not {length}.')
    parts = {name: read_spec(f"{path}.{name}", raw[name], refuse, nested=True) for name in ("element", "key", "value") if name in raw}
    for name, part in _one("fields", raw, path, refuse, dict, {}).items():
        parts[name] = read_spec(f"{path}.{name}", part, refuse, nested=True)
    spec = FieldSpec(
        kind,
        _number("min", raw, path, refuse),
        _number("max", raw, path, refuse),
        _start(raw, path, refuse),
        _one("end", raw, path, refuse, int, None),
        _duration("step", raw, path, refuse),
        length,
        _duration("max_past", raw, path, refuse),
        float(null_rate),
        parts,
    )
    if kind == "sequence":
        _check_sequence(spec, path, refuse)
    return spec


def _check_sequence(spec: FieldSpec, path: str, refuse: Callable[[str], ConfigError]) -> None:
    if spec.start is None:
        raise refuse(f'The sequence of field "{path}" needs "start".')
    if isinstance(spec.start, datetime):
        if not spec.step_ms or spec.end is not None:
            raise refuse(f'The sequence of times of field "{path}" needs "step", such as "1 second", and has no "end".')
    elif spec.end is None or spec.step_ms is not None:
        raise refuse(f'The sequence of field "{path}" needs "end", and has no "step".')
    elif spec.end < spec.start:
        raise refuse(f'The sequence of field "{path}" ends at {spec.end}, in front of its start {spec.start}.')


def _one(name: str, raw: Mapping[str, Any], path: str, refuse: Callable[[str], ConfigError], kind: type, default: Any) -> Any:
    value = raw.get(name, default)
    accepted = (int, float) if kind is float else kind
    if name in raw and (not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool)):
        words = {int: "a whole number", float: "a number", str: "text", dict: "a table"}[kind]
        raise refuse(f'The {name} of field "{path}" is {words}, not {value!r}.')
    return value


def _number(name: str, raw: Mapping[str, Any], path: str, refuse: Callable[[str], ConfigError]) -> float | str | None:
    """A number; text too, since TOML has no exact decimals."""
    value = raw.get(name)
    if name in raw and (not isinstance(value, int | float | str) or isinstance(value, bool)):
        raise refuse(f'The {name} of field "{path}" is a number, not {value!r}.')
    return value


def _duration(name: str, raw: Mapping[str, Any], path: str, refuse: Callable[[str], ConfigError]) -> int | None:
    if name not in raw:
        return None
    try:
        return parse_duration(raw[name], name=name)
    except ConfigError:
        raise refuse(f'The {name} of field "{path}" is a duration such as "5 seconds", not {raw[name]!r}.') from None


def _start(raw: Mapping[str, Any], path: str, refuse: Callable[[str], ConfigError]) -> int | datetime | None:
    """A whole number, or a time as text or as TOML's own; one with an offset comes in UTC."""
    value = raw.get("start")
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = raw["start"]
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo is not None else value
    if "start" in raw and (not isinstance(value, int) or isinstance(value, bool)):
        raise refuse(f'The start of field "{path}" is a whole number or a time such as "2026-01-01T00:00:00Z", not {value!r}.')
    return value
