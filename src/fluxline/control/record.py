"""Records in JSON that carry their format's version: a newer one, and one that cannot be read, are refused by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from fluxline.errors import RecoveryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    T = TypeVar("T")


def read_record(path: Path, version: int, build: Callable[[dict[str, Any]], T], *, name: str, repair: str) -> T | None:
    """What a file holds; None where there is no file.

    Args:
        path: the file.
        version: the newest format that is read.
        build: makes it of the data, which no longer has its format.
        name: what it is called in messages, such as "the record of the deployment".
        repair: what to do where it cannot be read, a full sentence.

    Raises:
        RecoveryError: FLX-5003 it is of a newer version, FLX-5004 it cannot be read.
    """
    try:
        data = json.loads(path.read_text())
        found = data.pop("format")
        if found > version:
            raise RecoveryError(
                "FLX-5003",
                f"{name} has format {found}, this version reads up to {version}",
                detail=f"It is in {path.parent}.",
                hint="Use the Fluxline version that wrote it.",
            )
        return build(data)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecoveryError("FLX-5004", f"{name} in {path.parent} cannot be read", detail=f"{type(error).__name__}: {error}.", hint=repair) from error
