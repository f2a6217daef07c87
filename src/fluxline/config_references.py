"""What a text of the project file may refer to: placeholders, and values that live elsewhere.

    path     = ".fluxline/{environment}/{name}"       placeholders, filled when a name is bound
    password = "${file:/run/secrets/kafka-password}"  opened last, on the machine that uses it, and never shown
    username = "${env:KAFKA_USER}"
    group    = "${env:GROUP:-sensors}"                a default makes it no secret; it counts where the variable is unset or empty

`{word}` is a placeholder, `${...}` a reference; other braces are text.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fluxline.errors import ConfigError, NameNotFound, Place, did_you_mean
from fluxline.limits import SECRET_BYTES_MAX
from fluxline.options import Secret

if TYPE_CHECKING:
    from pathlib import Path

PlaceOf = Callable[[str], Place | None]
LookUp = Callable[[str, str, Place | None], str | None]
STORES = ("env", "file")


def fill_placeholders(value: object, words: Mapping[str, str], place: Place | None) -> object:
    """The value with the placeholders of all its texts filled in.

    Raises:
        NameNotFound: FLX-1016, a word in braces is no placeholder.
        ConfigError: FLX-1017, `${word}` is no reference.
    """
    if isinstance(value, list):
        return [fill_placeholders(item, words, place) for item in value]
    if isinstance(value, dict):
        return {key: fill_placeholders(item, words, place) for key, item in value.items()}
    if not isinstance(value, str):
        return value

    def fill(found: re.Match[str]) -> str:
        word = found.group(2)
        if found.group(1):
            raise _no_reference(place, f'Write "${{env:{word}}}" for an environment variable, or "{{{word}}}" if a placeholder is meant.')
        if word not in words:
            known = " and ".join(f"{{{each}}}" for each in words)
            raise NameNotFound(
                "FLX-1016", f'no placeholder "{{{word}}}"', detail=f"What can stand here is {known}.", hint=did_you_mean(word, words), place=place
            )
        return words[word]

    return _PLACEHOLDER.sub(fill, value)


def refuse_references(value: object, what: str, place: Place | None) -> None:
    """Refuse a reference where it would be needed before secrets are opened.

    Raises:
        ConfigError: FLX-1017.
    """
    if isinstance(value, str) and "${" in value:
        raise ConfigError(
            "FLX-1017",
            f"{what} takes no reference",
            detail="It is read before references are opened.",
            hint="Give it with --set instead.",
            place=place,
        )


def reveal_options(
    raw: Mapping[str, object], *, directory: Path, place: PlaceOf = lambda _key: None, variables: Mapping[str, str] | None = None
) -> dict[str, object]:
    """The options with every reference opened: a `Secret`, or text where each reference has a default.

    Call it last, just before the options are used; `seal_options` serves checks.

    Args:
        raw: options of a binding.
        directory: what a relative `${file:...}` starts from.
        place: key -> where in the project file it stands.
        variables: the environment variables; those of the process if not given.

    Raises:
        ConfigError: FLX-1017 a reference is malformed or names an unknown store; FLX-1018 it leads nowhere; FLX-1019 a
            file is open to others.
    """
    known = os.environ if variables is None else variables

    def look_up(store: str, name: str, at: Place | None) -> str | None:
        return known.get(name) if store == "env" else _read_secret_file(directory / name, at)

    return {key: _replace(value, place(key), look_up) for key, value in raw.items()}


def seal_options(raw: Mapping[str, object], *, place: PlaceOf = lambda _key: None) -> dict[str, object]:
    """The same without opening anything: a `Secret` then holds the text of its reference.

    For checks on a machine that does not have the secrets.
    """
    return {key: _replace(value, place(key), None) for key, value in raw.items()}


def is_reference(value: object) -> bool:
    """Whether a text holds a reference without default, so that what it stands for is a secret."""
    return isinstance(value, str) and any(found.group("default") is None for found in _REFERENCE.finditer(value))


_PLACEHOLDER = re.compile(r"(\$?)\{([A-Za-z_][A-Za-z0-9_]*)\}")
_REFERENCE = re.compile(r"\$\{(?P<store>[A-Za-z][A-Za-z0-9_-]*):(?P<name>[^}]*?)(?::-(?P<default>[^}]*))?\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _replace(value: object, place: Place | None, look_up: LookUp | None) -> object:
    if isinstance(value, list):
        return [_replace(item, place, look_up) for item in value]
    if isinstance(value, dict):
        return {key: _replace(item, place, look_up) for key, item in value.items()}
    if not isinstance(value, str) or "${" not in value:
        return value
    if "${" in _REFERENCE.sub("", value):
        raise _no_reference(place, 'Write "${env:NAME}" or "${file:PATH}".')
    opened = _REFERENCE.sub(lambda found: _open(found, place, look_up), value)
    return Secret(opened) if is_reference(value) else opened


def _open(found: re.Match[str], place: Place | None, look_up: LookUp | None) -> str:
    """What one reference stands for."""
    store, name, default = found.group("store", "name", "default")
    if store not in STORES:
        raise ConfigError(
            "FLX-1017",
            f'no store "{store}" to take a secret from',
            detail=f"This version knows {' and '.join(STORES)}.",
            hint=did_you_mean(store, STORES) or 'Write "${env:NAME}" or "${file:PATH}".',
            place=place,
        )
    if not name or (store == "env" and not _VARIABLE.fullmatch(name)):
        raise _no_reference(place, 'Write "${env:NAME}" or "${file:PATH}".')
    if store == "file" and default is not None:
        raise _no_reference(place, 'Only a variable can have a default: "${env:NAME:-default}".')
    if look_up is None:
        return found.group() if default is None else default
    value = look_up(store, name, place)
    if default is not None:
        return value or default
    if value is None:
        raise ConfigError(
            "FLX-1018",
            f'the environment variable "{name}" is not set',
            detail="An option refers to it.",
            hint=f"Set {name} before the start.",
            place=place,
        )
    return value


def _no_reference(place: Place | None, hint: str) -> ConfigError:
    detail = 'A reference is "${env:NAME}", "${env:NAME:-default}" or "${file:PATH}".'
    return ConfigError("FLX-1017", 'a text with "${" is no reference', detail=detail, hint=hint, place=place)


def _read_secret_file(path: Path, place: Place | None) -> str:
    """The content of a file that only its owner can reach, without the line end at its end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # before opening it: a pipe would make us wait for its writer
            raise _unreadable(path, "It is no regular file.", place)
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise ConfigError(
                    "FLX-1019",
                    f'the secret file "{path}" is open to others than its owner',
                    detail=f"Its mode is {mode:04o}; group and others must have no access.",
                    hint="Run chmod 600 on it, or mount it with mode 0400.",
                    place=place,
                )
            data = file.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise _unreadable(path, f"{error.strerror}.", place) from None
    if len(data) > SECRET_BYTES_MAX:
        raise _unreadable(path, f"It has more than {SECRET_BYTES_MAX} bytes.", place)
    try:
        return data.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise _unreadable(path, "It is not UTF-8 text.", place) from None


def _unreadable(path: Path, detail: str, place: Place | None) -> ConfigError:
    return ConfigError("FLX-1018", f'the secret file "{path}" cannot be read', detail=detail, hint="Create it, or correct the path.", place=place)
