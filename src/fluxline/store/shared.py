"""The stores that this process has open: sinks of one path share one store, and the last to leave closes it."""

from __future__ import annotations

from threading import RLock
from typing import TYPE_CHECKING

from fluxline.store.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from fluxline.clock import Clock

_lock = RLock()
_open: dict[Path, tuple[Store, int]] = {}


def acquire(path: Path, *, clock: Clock) -> Store:
    """The open store of a path, opened if need be; `release` gives it back."""
    path = path.resolve()
    with _lock:
        store, users = _open.get(path, (None, 0))
        if store is None:
            store = Store.open(path, clock=clock)
        _open[path] = (store, users + 1)
        return store


def release(store: Store) -> None:
    """Give back a store; once for each `acquire`."""
    with _lock:
        _known, users = _open[store.path]
        if users > 1:
            _open[store.path] = (store, users - 1)
            return
        del _open[store.path]
        store.close()
