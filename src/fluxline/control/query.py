"""Ask the system where an environment keeps its tables, in that system's own language, also while a pipeline writes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.config import require_project, resolve_environment, reveal_options
from fluxline.config_references import fill_placeholders
from fluxline.config_toml import write_key
from fluxline.connectors import load_connector
from fluxline.connectors.base import Connector, QueryContext
from fluxline.errors import ConfigError, NameNotFound, UnsupportedByEngine
from fluxline.options import read_options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fluxline.config import Connection, Environment
    from fluxline.store.query import Answer

_KEYS_OF_THE_BINDING = ("connector", "format", "format_options", "delivery_guarantee")


def query(directory: Path, text: str, *, env: str | None = None, limit: int | None = None, overrides: Sequence[str] = ()) -> Answer:
    """The rows of one query, and whether there were more than the limit.

    Args:
        directory: where the search for the project file starts.
        text: the query, which the connector hands to its system as it is: SQL for the table store, CQL for Cassandra.
        env: the environment.
        limit: the most rows; None for all.
        overrides: `key=value` settings for this call.

    Raises:
        ConfigError: FLX-1204, it is not clear which connection is meant.
        FluxlineError: what the environment or the system says.
    """
    environment = resolve_environment(require_project(directory), env, overrides=overrides)
    connection, connector = _asked(environment)
    assert connector.query is not None, f"{connector.name} answers no queries"
    table = connection.table
    words = {"environment": environment.name, "name": "{name}"}
    raw = {key: fill_placeholders(value, words, table.place(key)) for key, value in table.values.items() if key not in _KEYS_OF_THE_BINDING}
    opened = reveal_options(raw, directory=environment.project_directory, place=table.place)
    options = read_options(connector.options, opened, of=f'connector "{connector.name}"', place=table.place)
    return connector.query(QueryContext(connection.name, options, environment.project_directory, limit, table.place), text)


def _asked(environment: Environment) -> tuple[Connection, Connector]:
    """The connection that tables live in if it answers queries, else the only one that does."""
    if environment.tables is not None and environment.tables in environment.connections:
        connection = environment.connections[environment.tables]
        connector = _answering(connection)
        if connector is not None:
            return connection, connector
    found = {name: (each, connector) for name, each in environment.connections.items() if (connector := _answering(each)) is not None}
    if len(found) == 1:
        return next(iter(found.values()))
    title = write_key(("environments", environment.name))
    if found:
        raise ConfigError(
            "FLX-1204",
            f'environment "{environment.name}" has several table stores: {", ".join(found)}',
            detail=f'Its "tables" is {environment.tables or "not set"}, which is none of them.' if environment.tables else 'It has no "tables".',
            hint=f'Choose one with --set tables={next(iter(found))}, or write tables = "..." in [{title}].',
            place=environment.settings.place("connections"),
        )
    raise ConfigError(
        "FLX-1204",
        f'environment "{environment.name}" has no table store to ask',
        detail=f"None of its connections ({', '.join(environment.connections) or 'it has none'}) answers queries.",
        hint=f'Add [{title}.connections.store] with connector = "store" and a path, and write tables = "store".',
        place=environment.settings.here,
    )


def _answering(connection: Connection) -> Connector | None:
    """The connection's connector if it answers queries; one that this version does not have answers none."""
    try:
        connector = load_connector(connection.connector, connection.table.place("connector"))
    except (NameNotFound, UnsupportedByEngine):
        return None
    return None if connector.query is None else connector
