"""Where a deployment keeps how far an ingested source is in its topic.

<directory>/<pipeline>/ingest-<source>/lock             held by the worker that reads the source
<directory>/<pipeline>/ingest-<source>/positions.json   how far it is
<directory>/<pipeline>/ingest-<source>/paused           there while no worker shall read it
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fluxline.control.record import read_record
from fluxline.engines.embedded.saved_state import external, take_lock, write_durably
from fluxline.engines.worker.ingest import Kept, Place

if TYPE_CHECKING:
    from pathlib import Path

POSITIONS_FORMAT_VERSION = 1


class IngestDirectory:
    """The directory of one source; it is the `Positions` of its worker."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self) -> bool:
        """Hold the source for this worker, if nobody does."""
        assert self._handle is None, "it is held once"
        self._handle, _holder = take_lock(self.path)
        return self._handle is not None

    def release(self) -> None:
        """Let go; may be called twice."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def held(self) -> bool:
        """Whether a worker is at the source."""
        if not self.acquire():
            return True
        self.release()
        return False

    def paused(self) -> bool:
        """Whether no worker shall read the source."""
        return (self.path / "paused").exists()

    def pause(self) -> None:
        """Ask the worker to leave the source, and others to leave it alone."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            (self.path / "paused").touch()
        except OSError as error:
            raise external(error, self.path) from error

    def begin(self) -> None:
        """Let workers read the source, also what came behind its end."""
        kept = self.load()
        if kept is not None:
            kept.ended = False
            for place in kept.places.values():
                place.finished = False
            self.save(kept)
        self.resume()

    def resume(self) -> None:
        """Let workers read the source."""
        (self.path / "paused").unlink(missing_ok=True)

    def load(self) -> Kept | None:
        """What was kept last, or None.

        Raises:
            RecoveryError: FLX-5003 it is of a newer version, FLX-5004 it cannot be read.
        """
        name, repair = "the record of positions", "Start over with --fresh."
        return read_record(self.path / "positions.json", POSITIONS_FORMAT_VERSION, _kept_from, name=name, repair=repair)

    def save(self, kept: Kept) -> None:
        """Keep it; it is there as a whole when this returns."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_durably(self.path / "positions.json", json.dumps({"format": POSITIONS_FORMAT_VERSION, **asdict(kept)}).encode())
        except OSError as error:
            raise external(error, self.path) from error

    def forget(self) -> None:
        """Keep nothing any more."""
        (self.path / "positions.json").unlink(missing_ok=True)


def _kept_from(data: dict[str, Any]) -> Kept:
    places = {name: Place(**place) for name, place in data.pop("places").items()}
    return Kept(places=places, **data)
