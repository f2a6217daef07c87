"""Every error that Fluxline raises: the tree, the shape of a message, and the place it points at.

    FluxlineError
    ├─ DefinitionError         the pipeline, project file or SQL is wrong       user      never retry
    │  ├─ SQLSyntaxError · NameNotFound · TypeMismatch · ConfigError
    │  ├─ TimeAttributeMissing · UnboundedState
    │  └─ UnsupportedByEngine
    ├─ DecodeError             a source's records do not match its schema       data      policy: reject | fail
    ├─ ExternalError           an outside system refused or vanished            external
    │  ├─ ConnectionLost · Throttled                                            retry with back-off
    │  └─ Unauthorized · PositionExpired · ResourceMissing · ResourceBusy · DiskFull     never retry
    ├─ FunctionFailed          a user's function raised and its policy is fail  user      never retry
    ├─ AccessDenied            the caller may not do this                       user      never retry
    ├─ RecoveryError           no saved state can be restored                   operator  never retry
    ├─ LogCorrupted            a checksum does not match                        operator  never retry
    ├─ InternalError           our bug                                          us        report
    └─ Caution                 it runs, and would not outlive a loss            operator  told, never raised

A message is a lower-case fact with the names quoted, then full sentences: `detail` says what is known, `hint` what to do.
Codes are stable; `error_codes.py` gives each its meaning.
"""

from __future__ import annotations

import linecache
import os
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Fault = Literal["user", "data", "external", "operator", "us"]


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file something stands: lines and columns count from 1; `end_column` is behind the last character.

    A line that may hold a secret is not `shown`.
    """

    file: str
    line: int
    column: int = 1
    end_column: int | None = None
    shown: bool = True

    def __str__(self) -> str:
        return f"{relative_path(self.file)}:{self.line}:{self.column}"

    def without_line(self) -> Place:
        """The same place for a message that must not show what the line says."""
        return replace(self, shown=False)

    def snippet(self) -> str:
        """The line with carets under the columns; empty when the text is not to be had."""
        text = linecache.getline(self.file, self.line).rstrip("\n") if self.shown else ""
        if not text.strip():
            return ""
        end = self.end_column if self.end_column is not None and self.end_column > self.column else self.column + 1
        end = min(end, len(text) + 1)
        gutter = f"{self.line:5} |  "
        carets = " " * 5 + " |  " + " " * (self.column - 1) + "^" * max(1, end - self.column)
        return f"{gutter}{text}\n{carets}"


class FluxlineError(Exception):
    """The root: a stable code, a fact, and where known a detail, a hint and a place.

    Args:
        code: stable code such as `FLX-2104`; listed in `error_codes.py`.
        fact: one lower-case line that names what is so, names in quotes.
        detail: full sentences with what is known.
        hint: full sentences with what the reader can do.
        place: the reader's own line, if there is one.
    """

    fault: ClassVar[Fault] = "us"
    retry: ClassVar[bool] = False

    def __init__(self, code: str, fact: str, *, detail: str = "", hint: str = "", place: Place | None = None) -> None:
        super().__init__(fact)
        self.code = code
        self.fact = fact
        self.detail = detail
        self.hint = hint
        self.place = place

    def __str__(self) -> str:
        return self.render()

    def render(self, *, width: int = 118) -> str:
        """The whole message as a user sees it: code, fact, place, the line with carets, detail, hint."""
        first = f"{self.code}  {self.fact}"
        lines = []
        if self.place is not None:
            where = str(self.place)
            lines.append(f"{first}{' ' * max(2, width - len(first) - len(where))}{where}")
            snippet = self.place.snippet()
            if snippet:
                lines.append(snippet)
        else:
            lines.append(first)
        if self.detail:
            lines.append(f"detail: {self.detail}")
        if self.hint:
            lines.append(f"hint: {self.hint}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """The error as the machine-readable outputs show it."""
        place = self.place
        return {
            "code": self.code,
            "error": type(self).__name__,
            "fact": self.fact,
            "detail": self.detail,
            "hint": self.hint,
            "place": None if place is None else {"file": place.file, "line": place.line, "column": place.column},
        }


class DefinitionError(FluxlineError):
    """The pipeline, its project file or its SQL is wrong; running it again changes nothing."""

    fault = "user"


class SQLSyntaxError(DefinitionError):
    """A SQL text does not parse."""


class NameNotFound(DefinitionError):
    """A name is not known: column, function, connector, option, environment."""


class TypeMismatch(DefinitionError):
    """A value has another type than is needed where it stands."""


class ConfigError(DefinitionError):
    """The project file or an option says something that cannot be."""


class TimeAttributeMissing(DefinitionError):
    """An operator needs event time and the stream declares none."""


class UnboundedState(DefinitionError):
    """An operator would remember for ever and nobody said that it may."""


class UnsupportedByEngine(DefinitionError):
    """The construct is understood, and this engine or version does not run it."""


class DecodeError(FluxlineError):
    """The records of a source do not match its schema."""

    fault = "data"


class ExternalError(FluxlineError):
    """An outside system, the file system included, refused or vanished."""

    fault = "external"


class ConnectionLost(ExternalError):
    """The other side does not answer."""

    retry = True


class Throttled(ExternalError):
    """The other side asks for patience."""

    retry = True


class Unauthorized(ExternalError):
    """The other side does not accept who we are."""


class PositionExpired(ExternalError):
    """The source no longer has the position that was saved."""


class ResourceMissing(ExternalError):
    """A file, topic or table that is named does not exist."""


class ResourceBusy(ExternalError):
    """Another process holds what is needed."""


class DiskFull(ExternalError):
    """A disk has no room left."""


class FunctionFailed(FluxlineError):
    """A user's function or rule failed, and its policy is to stop."""

    fault = "user"


class AccessDenied(FluxlineError):
    """The caller may not do this."""

    fault = "user"


class RecoveryError(FluxlineError):
    """Saved state cannot be restored."""

    fault = "operator"


class LogCorrupted(FluxlineError):
    """A checksum does not match."""

    fault = "operator"


class InternalError(FluxlineError):
    """Our own mistake."""

    fault = "us"


class Caution(FluxlineError):
    """A warning: it runs so, and would not outlive the loss of a node. It is told in the form of an error and never raised."""

    fault = "operator"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`Did you mean "x"?` for the nearest known name, else an empty text."""
    names = list(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    if not close:
        folded = {candidate.lower(): candidate for candidate in names}
        close = [folded[match] for match in get_close_matches(name.lower(), list(folded), n=1, cutoff=0.6)]
    return f'Did you mean "{close[0]}"?' if close else ""


def relative_path(file: str) -> str:
    """The path as seen from the working directory where it lies below it, else unchanged."""
    try:
        relative = os.path.relpath(file)
    except ValueError:  # another drive
        return file
    return file if relative.startswith("..") else relative
