"""The connection to Cassandra: made from options, used for the schema, and its failures in our own words."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from cassandra import AuthenticationFailed, CoordinationFailure, DriverException, InvalidRequest, RequestExecutionException, Timeout, Unavailable
from cassandra import ConsistencyLevel as Consistency
from cassandra import Unauthorized as NotPermitted
from cassandra.auth import PlainTextAuthProvider

from fluxline.connectors.cassandra.cql import TableColumn, create_keyspace
from fluxline.errors import ConfigError, ConnectionLost, ExternalError, FluxlineError, ResourceMissing, Unauthorized
from fluxline.limits import CASSANDRA_CONNECT_SECONDS, CASSANDRA_REQUEST_SECONDS

try:
    from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
    from cassandra.policies import ConstantReconnectionPolicy, DCAwareRoundRobinPolicy, TokenAwarePolicy
except DriverException as error:  # The driver found no event loop: neither libev, nor asyncore, which Python 3.12 has no more.
    raise ImportError(f"the Cassandra driver has no event loop: {error}") from error

if TYPE_CHECKING:
    from pathlib import Path

    from fluxline.connectors.cassandra.cql import Table
    from fluxline.connectors.cassandra.options import CassandraOptions

PROTOCOL = 4
"""The first version that has unset values; every node since Cassandra 3 speaks it, and it costs less than the next one."""


def event_loop() -> str:
    """The driver's event loop in this Python, such as `LibevConnection`."""
    return str(Cluster.connection_class.__name__)


class Session:
    """One connection to the nodes; closed by its owner."""

    def __init__(self, options: CassandraOptions, directory: Path) -> None:
        self.options = options
        auth = None
        if options.username is not None and options.password is not None:
            auth = PlainTextAuthProvider(options.username, options.password.reveal())
        profile = ExecutionProfile(
            load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(options.local_datacenter or "")),
            consistency_level=Consistency.name_to_value[options.consistency],
            request_timeout=CASSANDRA_REQUEST_SECONDS,
        )
        self._cluster = Cluster(
            options.contact_points,
            port=options.port,
            auth_provider=auth,
            ssl_context=_tls(options, directory) if options.encrypted else None,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            protocol_version=PROTOCOL,
            connect_timeout=CASSANDRA_CONNECT_SECONDS,
            reconnection_policy=ConstantReconnectionPolicy(delay=1, max_attempts=None),
        )
        try:
            self.driver: Any = self._cluster.connect()
        except Exception as error:  # The driver, the resolver and TLS each have classes of their own.
            self.close()
            raise explain(error, options, "connecting") from error

    def close(self) -> None:
        """Let go of all connections; may be called twice."""
        self._cluster.shutdown()

    def execute(self, statement: str, parameters: tuple[object, ...] | None = None) -> list[Any]:
        """The rows of a statement that is no part of the data path."""
        try:
            return list(self.driver.execute(statement, parameters))
        except Exception as error:
            raise explain(error, self.options, statement.split("\n", maxsplit=1)[0].rstrip(" (")) from error

    def prepare(self, statement: str) -> Any:
        """A statement that the nodes know from now on; it may be sent twice."""
        try:
            prepared = self.driver.prepare(statement)
        except Exception as error:
            raise explain(error, self.options, statement) from error
        prepared.is_idempotent = True
        return prepared

    def ensure(self, table: Table) -> None:
        """Create keyspace and table where that is asked for, and compare.

        Raises:
            ResourceMissing: FLX-4753, one does not exist and is not to be created.
            ExternalError: FLX-4754, the table is another one.
        """
        if self.missing(table).startswith("keyspace"):
            self.execute(create_keyspace(table.keyspace, self.options.replication))
        if self.missing(table):
            self.execute(table.create())
        self.compare(table)

    def missing(self, table: Table) -> str:
        """What is not there yet and will be created: the keyspace, the table, or nothing.

        Raises:
            ResourceMissing: FLX-4753, it is not to be created.
        """
        found = ""
        if not self.execute("SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = %s", (table.keyspace,)):
            found = f'keyspace "{table.keyspace}"'
        elif not self._columns(table):
            found = f'table "{table.keyspace}.{table.name}"'
        if found and not self.options.create:
            raise _missing(found)
        return found

    def compare(self, table: Table) -> None:
        """Look whether the table is there and as the pipeline needs it; raises as `ensure`."""
        there = self._columns(table)
        if not there:
            raise _missing(f'table "{table.keyspace}.{table.name}"')
        differences = table.differences(there)
        if differences:
            raise ExternalError(
                "FLX-4754",
                f'Cassandra table "{table.keyspace}.{table.name}" has other columns or another primary key than the sink',
                detail=" ".join(differences),
                hint="Change the pipeline or alter the table; a primary key cannot be altered, so name another table with the option table.",
            )

    def _columns(self, table: Table) -> dict[str, TableColumn]:
        rows = self.execute(
            "SELECT column_name, type, kind, position, clustering_order FROM system_schema.columns WHERE keyspace_name = %s AND table_name = %s",
            (table.keyspace, table.name),
        )
        return {row.column_name: TableColumn(row.type, row.kind, row.position, row.clustering_order) for row in rows}


def explain(error: Exception, options: CassandraOptions, doing: str) -> FluxlineError:
    """A failure of the driver as ours."""
    where = f"{', '.join(options.contact_points)}, port {options.port}"
    causes = list(error.errors.values()) if isinstance(error, NoHostAvailable) and isinstance(error.errors, dict) else []
    seen = " ".join(f"{type(cause).__name__}: {cause}." for cause in (causes or [error]))
    if any(isinstance(cause, AuthenticationFailed) or "AuthenticationFailed" in str(cause) for cause in (error, *causes)):
        return Unauthorized("FLX-4752", f'Cassandra at "{where}" does not accept the login', detail=seen, hint="Look at username and password.")
    if isinstance(error, NotPermitted):
        return Unauthorized(
            "FLX-4752", "Cassandra does not permit a statement", detail=f"{doing}: {seen}", hint="Grant it to the user of the connection."
        )
    if isinstance(error, Unavailable | Timeout | CoordinationFailure):
        return ConnectionLost(
            "FLX-4751",
            f'too few replicas answer behind the Cassandra node at "{where}"',
            detail=f"{doing}: {seen}",
            hint="Look whether all nodes are up and not overloaded, and whether the option consistency asks for more of them than there are.",
        )
    if isinstance(error, InvalidRequest | RequestExecutionException):
        return ExternalError("FLX-4755", "Cassandra refused a statement", detail=f"{doing}: {seen}")
    return ConnectionLost(
        "FLX-4751",
        f'no Cassandra node answers at "{where}"',
        detail=f"{doing}: {seen}",
        hint="Look whether the nodes are up, whether contact_points, port and local_datacenter name them, and whether both sides use TLS.",
    )


def _tls(options: CassandraOptions, directory: Path) -> ssl.SSLContext:
    """What the options say of TLS."""
    paths = [options.ssl_ca_location, options.ssl_certificate_location, options.ssl_key_location]
    authorities, certificate, key = (None if path is None else str(directory / path) for path in paths)
    password = None if options.ssl_key_password is None else options.ssl_key_password.reveal()
    try:
        context = ssl.create_default_context(cafile=authorities)
        context.check_hostname = options.ssl_endpoint_identification_algorithm == "https"
        if certificate is not None:
            context.load_cert_chain(certificate, key, password)
    except OSError as error:  # Those of TLS are among them.
        given = ", ".join(path for path in paths if path is not None)
        raise ConfigError(
            "FLX-1152",
            "the files of the Cassandra connection cannot be used",
            detail=f"Of {given}: {error}.",
            hint="Look at the options ssl_ca_location, ssl_certificate_location, ssl_key_location and ssl_key_password.",
        ) from error
    return context


def _missing(what: str) -> ResourceMissing:
    return ResourceMissing("FLX-4753", f"there is no {what} in Cassandra", hint="Create it, or set create = true.")
