"""Ask the table store of an environment by SQL, also while a pipeline writes to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fluxline.config import require_project, resolve_environment, reveal_options
from fluxline.config_references import fill_placeholders
from fluxline.config_toml import write_key
from fluxline.connectors import load_connector
from fluxline.errors import ConfigError
from fluxline.options import read_options
from fluxline.store import client

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.config import Connection, Environment
    from fluxline.store.query import Answer

_STORE = "store"


def query(directory: Path, sql: str, *, env: str | None = None, limit: int | None = None, overrides: Sequence[str] = ()) -> Answer:
    """The rows of one query, and whether there were more than the limit.

    Args:
        directory: where the search for the project file starts.
        sql: one statement that only reads.
        env: the environment.
        limit: the most rows; None for all.
        overrides: `key=value` settings for this call.

    Raises:
        ConfigError: FLX-1204, it is not clear which table store is meant.
        FluxlineError: what the environment or the store says.
    """
    environment = resolve_environment(require_project(directory), env, overrides=overrides)
    return client.answer(store_path(environment), sql, limit=limit)


def store_path(environment: Environment) -> Path:
    """The file of the environment's table store.

    Raises:
        ConfigError: FLX-1204, there is none, or there are several, or one for each table.
    """
    connection = _store_of(environment)
    table = connection.table
    connector = load_connector(_STORE)
    words = {"environment": environment.name, "name": "{name}"}
    raw = {
        key: fill_placeholders(value, words, table.place(key))
        for key, value in table.values.items()
        if key not in ("connector", "format", "format_options", "delivery_guarantee")
    }
    opened = reveal_options(raw, directory=environment.project_directory, place=table.place)
    options = read_options(connector.options, opened, of=f'connector "{_STORE}"', place=table.place)
    path: object = getattr(options, "path")  # noqa: B009  # only this connector's options have it
    assert isinstance(path, str)
    if "{name}" in path:
        raise ConfigError(
            "FLX-1204",
            f'connection "{connection.name}" keeps each table in a store of its own',
            detail=f'Its path is "{path}", and a query is asked of one store.',
            hint="Take {name} out of the path.",
            place=table.place("path"),
        )
    return environment.project_directory / path


def _store_of(environment: Environment) -> Connection:
    """The connection that tables live in if it is a store, else the only store."""
    stores = {name: each for name, each in environment.connections.items() if each.connector == _STORE}
    if environment.tables in stores:
        return stores[environment.tables]
    if len(stores) == 1:
        return next(iter(stores.values()))
    title = write_key(("environments", environment.name))
    if stores:
        raise ConfigError(
            "FLX-1204",
            f'environment "{environment.name}" has several table stores: {", ".join(stores)}',
            detail=f'Its "tables" is {environment.tables or "not set"}, which is none of them.' if environment.tables else 'It has no "tables".',
            hint=f'Choose one with --set tables={next(iter(stores))}, or write tables = "..." in [{title}].',
            place=environment.settings.place("connections"),
        )
    raise ConfigError(
        "FLX-1204",
        f'environment "{environment.name}" has no table store to ask',
        detail=f'None of its connections ({", ".join(environment.connections) or "it has none"}) has connector = "{_STORE}".',
        hint=f'Add [{title}.connections.store] with connector = "{_STORE}" and a path, and write tables = "store".',
        place=environment.settings.here,
    )
