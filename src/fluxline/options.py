"""Options, declared once: name, type, default, description, example, secrecy and Flink spelling in one place.

    class FileOptions(Options):
        path: str = option("File, directory or glob.", example="data/*.ndjson", flink="path")
        follow: bool = option("Wait for more at the end of a file.", default=False)

One declaration yields validation (with the nearest spelling), `fluxline connectors show`, the reference page and the
Flink `WITH (...)` clause. An unknown key is an error. A quantity has its unit in its name or is a duration text.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from fluxline.errors import ConfigError, NameNotFound, Place, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUIRED: Any = object()
_INFO = "fluxline"
OptionsType = TypeVar("OptionsType", bound="Options")


class Secret:
    """A value that is used and never shown: `repr`, `str` and formats print three asterisks."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself; for the call that needs it and for nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """One declared option, as docs and help show it."""

    name: str
    type: object
    description: str
    default: object
    example: object
    flink: str
    choices: tuple[str, ...]
    minimum: float | None

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is REQUIRED

    @property
    def secret(self) -> bool:
        """Whether its value never prints."""
        return self.type is Secret or Secret in typing.get_args(self.type)

    def type_text(self) -> str:
        """The type as text, such as `str`, `int`, `"a" | "b"`."""
        if self.choices:
            return " | ".join(f'"{choice}"' for choice in self.choices)
        text = self.type if isinstance(self.type, str) else getattr(self.type, "__name__", str(self.type))
        return str(text).replace("typing.", "")


def option(
    description: str, *, default: Any = REQUIRED, example: object = None, flink: str = "", choices: tuple[str, ...] = (), minimum: float | None = None
) -> Any:
    """Declare one option of an `Options` class.

    Args:
        description: one sentence for people.
        default: value when it is not given; without it the option is required. A mutable default is a factory's result.
        example: a value for docs.
        flink: Flink's own key for it; empty when Flink has none.
        choices: the words that it takes, if it takes words.
        minimum: the least value of a number.
    """
    info = {"description": description, "example": example, "flink": flink, "choices": choices, "minimum": minimum}
    if default is REQUIRED:
        return field(metadata={_INFO: info})
    if isinstance(default, dict | list):
        kind, kept = type(default), default
        return field(default_factory=lambda: kind(kept), metadata={_INFO: info | {"default": default}})
    return field(default=default, metadata={_INFO: info | {"default": default}})


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(option,))
class Options:
    """Base of declared options. A subclass is a frozen dataclass; every field is an `option(...)`."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(frozen=True, kw_only=True)(cls)

    def validate(self, refuse: Callable[[str, str], ConfigError]) -> None:
        """Check what no single option shows; `refuse(option, sentence)` makes the error to raise."""


def describe_options(options: type[Options]) -> tuple[OptionInfo, ...]:
    """The declared options of a class, in order."""
    hints = typing.get_type_hints(options)
    found = []
    for item in dataclasses.fields(options):  # type: ignore[arg-type]  # __init_subclass__ made it a dataclass
        info = item.metadata[_INFO]
        found.append(
            OptionInfo(
                item.name,
                hints[item.name],
                info["description"],
                info.get("default", REQUIRED),
                info["example"],
                info["flink"],
                info["choices"],
                info["minimum"],
            )
        )
    return tuple(found)


def read_options(
    options: type[OptionsType], raw: Mapping[str, object], *, of: str, place: Callable[[str], Place | None] = lambda _key: None
) -> OptionsType:
    """Check raw values against the declaration and build the options.

    Args:
        options: the class that declares them.
        raw: names and values as TOML gives them.
        of: what they belong to, for messages: `connector "filesystem"`.
        place: key -> where in the project file it stands.

    Raises:
        NameNotFound: FLX-1103, an option does not exist.
        ConfigError: FLX-1104 missing, FLX-1105 wrong type, FLX-1106 a value that cannot be.
    """
    infos = {info.name: info for info in describe_options(options)}
    for key in raw:
        if key not in infos:
            where = place(key)
            if where is not None and did_you_mean(key, [info.name for info in infos.values() if info.secret]):
                where = where.without_line()
            raise NameNotFound(
                "FLX-1103", f'{of} has no option "{key}"', detail=f"It has {', '.join(infos) or 'none'}.", hint=did_you_mean(key, infos), place=where
            )
    values: dict[str, object] = {}
    for name, info in infos.items():
        if name in raw:
            values[name] = _checked(raw[name], info, of, place(name))
        elif info.required:
            shown = f" Example: {name} = {info.example!r}." if info.example is not None else ""
            raise ConfigError("FLX-1104", f'{of} needs the option "{name}"', detail=f"{info.description}{shown}", place=place(name))
    built = options(**values)
    built.validate(lambda name, sentence: ConfigError("FLX-1106", f'option "{name}" of {of} cannot be as it is', detail=sentence, place=place(name)))
    return built


def _checked(value: object, info: OptionInfo, of: str, place: Place | None) -> object:
    """The value in the declared type."""
    fact = f'option "{info.name}" of {of} takes {_kind_words(info)}, not {value!r}'
    if info.secret:
        fact = f'option "{info.name}" of {of} takes a secret'
        place = None if place is None else place.without_line()
    wanted = info.type
    if typing.get_origin(wanted) in (types.UnionType, typing.Union):
        alternatives = [item for item in typing.get_args(wanted) if item is not type(None)]
        if value is None:
            return None
        wanted = alternatives[0]
    origin = typing.get_origin(wanted) or wanted
    if not info.secret and origin in (str, list, dict):
        value = _opened(value)
    if origin is timedelta:
        return timedelta(milliseconds=parse_duration(value, name=info.name, place=place))
    if origin is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(origin, type) or not isinstance(value, origin) or (isinstance(value, bool) and origin is not bool):
        hint = f'Write a reference such as {info.name} = "${{env:NAME}}"; a secret is never written in the file.' if info.secret else ""
        raise ConfigError("FLX-1105", fact, detail=info.description, hint=hint, place=place)
    if info.choices and value not in info.choices:
        raise ConfigError("FLX-1106", fact, detail=info.description, hint=did_you_mean(str(value), info.choices), place=place)
    if info.minimum is not None and isinstance(value, int | float) and value < info.minimum:
        raise ConfigError("FLX-1106", fact, detail=f"{info.description} The least value is {info.minimum}.", place=place)
    return value


def _opened(value: object) -> object:
    """The plain text of a referenced value, for an option that is no secret; what messages show is made before."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, list):
        return [_opened(item) for item in value]
    if isinstance(value, dict):
        return {key: _opened(item) for key, item in value.items()}
    return value


def _kind_words(info: OptionInfo) -> str:
    if info.choices:
        return "one of " + ", ".join(info.choices)
    text = info.type_text()
    words = {"str": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "timedelta": 'a duration such as "5 seconds"'}
    return words.get(text, text)


_DURATION = re.compile(r"\s*(\d+)\s*([A-Za-z]+)\s*")
_UNITS = {
    "ms": 1, "milli": 1, "millis": 1, "millisecond": 1, "milliseconds": 1,
    "s": 1_000, "sec": 1_000, "secs": 1_000, "second": 1_000, "seconds": 1_000,
    "min": 60_000, "m": 60_000, "minute": 60_000, "minutes": 60_000,
    "h": 3_600_000, "hour": 3_600_000, "hours": 3_600_000,
    "d": 86_400_000, "day": 86_400_000, "days": 86_400_000,
}  # fmt: skip
DURATION_MS_MAX = 100 * 365 * 86_400_000  # A longer one is a slip of the pen.


def parse_duration(value: object, *, name: str, place: Place | None = None) -> int:
    """Milliseconds of `"5 seconds"` (one whole number, one unit, as in Flink's configuration) or of a `timedelta`.

    Raises:
        ConfigError: FLX-1107, it is no duration.
    """
    if isinstance(value, timedelta):
        milliseconds = value / timedelta(milliseconds=1)
        if milliseconds >= 0 and milliseconds == int(milliseconds) and milliseconds <= DURATION_MS_MAX:
            return int(milliseconds)
    elif isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match and match.group(2).lower() in _UNITS:
            milliseconds = int(match.group(1)) * _UNITS[match.group(2).lower()]
            if milliseconds <= DURATION_MS_MAX:
                return milliseconds
    raise ConfigError(
        "FLX-1107",
        f'"{name}" is no duration: {value!r}',
        detail="A duration is one whole number and one unit (ms, s, min, h, d or their words), or a timedelta of whole ms, at most 100 years.",
        hint='Write "5 seconds".',
        place=place,
    )


def format_duration(milliseconds: int) -> str:
    """The shortest text of a duration in whole units: `20 minutes`."""
    for unit, size in (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000)):
        if milliseconds and milliseconds % size == 0:
            count = milliseconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{milliseconds} ms"
