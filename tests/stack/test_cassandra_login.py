"""The connector `cassandra` and a node that asks for a password and speaks TLS alone."""

from __future__ import annotations

from dataclasses import replace
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from fluxline.clock import SystemClock
from fluxline.connectors.base import QueryContext
from fluxline.connectors.cassandra.probe import probe
from fluxline.connectors.cassandra.query import ask
from fluxline.connectors.cassandra.sink import CassandraSink
from fluxline.errors import ConnectionLost, Unauthorized
from fluxline.options import Secret
from fluxline.stack import cassandra
from fluxline.stack.running import running_stack
from tests.connectors.cassandra_rows import batch_of, context_of, schema_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fluxline.connectors.base import SinkContext
    from fluxline.stack.server import Place

pytestmark = pytest.mark.servers
SCHEMA = schema_of(id="INT", text="STRING")
LOGIN_MS_MAX = 60_000


def make_certificates(directory: Path) -> None:
    """An authority, a node's certificate that it has signed, and another authority that has signed nothing."""
    authority, other = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(directory / "ca.pem")
    other.cert_pem.write_to_path(directory / "other.pem")
    node = authority.issue_cert("127.0.0.1")
    key = load_pem_private_key(node.private_key_pem.bytes(), None)  # Java reads PKCS 8 alone.
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (directory / "node.pem").write_bytes(text + node.cert_chain_pems[0].bytes())


class Guarded:
    """A node with a guard at its door."""

    def __init__(self, port: int, certificates: Path) -> None:
        self.port = port
        self.certificates = certificates

    def context(self, name: str = "cassandra", password: str = "cassandra", **changes: Any) -> SinkContext:
        """A context of a table, with the login and the authority."""
        options: dict[str, Any] = {"port": self.port, "username": name, "password": Secret(password), "ssl_ca_location": "ca.pem", "retry_for": "1 s"}
        return replace(context_of("t", SCHEMA, ("id",), options | changes), directory=self.certificates)

    def ask(self, text: str, name: str = "cassandra", password: str = "cassandra") -> list[tuple[object, ...]]:
        """The rows of a statement."""
        context = self.context(name, password)
        return ask(QueryContext("c", context.options, context.directory, None, lambda _option: None), text).frame.rows()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Started once; its first user is there a moment after the port is."""
    certificates = tmp_path_factory.mktemp("certificates")
    make_certificates(certificates)
    plain = cassandra.config
    factory = {"class_name": "org.apache.cassandra.security.PEMBasedSslContextFactory"}
    files = {"keystore": str(certificates / "node.pem"), "truststore": str(certificates / "ca.pem")}
    guards: dict[str, object] = {
        "authenticator": "PasswordAuthenticator",
        "authorizer": "CassandraAuthorizer",
        "role_manager": "CassandraRoleManager",
        "client_encryption_options": {"enabled": True, "optional": False, "ssl_context_factory": factory, "require_client_auth": False, **files},
    }

    def config(place: Place, number: int) -> dict[str, object]:
        return plain(place, number) | guards

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cassandra, "config", config)
        patch.setattr(cassandra, "_answers", lambda _address, _port: True)  # It does not answer the plain question.
        with running_stack(("cassandra",), directory=tmp_path_factory.mktemp("stack"), die_with_parent=True) as stack:
            node, clock = Guarded(stack.cassandra.port, certificates), SystemClock()
            until_ms = clock.monotonic_ms() + LOGIN_MS_MAX
            while True:
                try:
                    node.ask("SELECT role FROM system_auth.roles")
                    break
                except (Unauthorized, ConnectionLost):
                    assert clock.monotonic_ms() < until_ms
                    clock.wait(Event(), 500)
            yield node


def test_rows_are_written_and_asked_with_the_login_over_tls(guarded: Guarded) -> None:
    sink = CassandraSink(guarded.context())
    assert sink.write(batch_of(SCHEMA, [[1, "a"], [2, "b"]]), None).acknowledged == 2
    sink.close()
    assert sorted(guarded.ask("SELECT id, text FROM k.t")) == [(1, "a"), (2, "b")]
    assert probe(guarded.context())[-1] == 'table "k.t" has the columns and the key of the sink'


def test_a_wrong_password_is_said_to_be_one(guarded: Guarded) -> None:
    for context in (guarded.context(password="wrong"), guarded.context(name="nobody")):
        with pytest.raises(Unauthorized, match="FLX-4752") as caught:
            CassandraSink(context)
        assert "does not accept the login" in caught.value.fact
        assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ssl_ca_location": "other.pem"}, "certificate verify failed"),
        ({"ssl_ca_location": None, "ssl": True}, "certificate verify failed"),
        ({"ssl_ca_location": None}, ""),
    ],
    ids=["another authority", "the authorities of the machine", "no TLS"],
)
def test_a_node_that_cannot_be_trusted_gets_no_password(changes: dict[str, Any], words: str, guarded: Guarded) -> None:
    with pytest.raises(ConnectionLost, match="FLX-4751") as caught:
        CassandraSink(guarded.context(**changes))
    assert words in caught.value.detail


def test_the_certificate_names_the_address_and_not_the_name(guarded: Guarded) -> None:
    """It names 127.0.0.1 alone; the driver resolves localhost first and compares what came of it."""
    CassandraSink(guarded.context(contact_points=["localhost"])).close()


def test_a_login_without_permission_is_refused_by_name(guarded: Guarded) -> None:
    guarded.ask("CREATE ROLE reader WITH PASSWORD = 'secret' AND LOGIN = true")
    guarded.ask("CREATE KEYSPACE IF NOT EXISTS k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}")
    guarded.ask("CREATE TABLE IF NOT EXISTS k.t (id int PRIMARY KEY, text text)")
    with pytest.raises(Unauthorized, match="FLX-4752") as caught:
        guarded.ask("SELECT * FROM k.t", "reader", "secret")
    assert "no SELECT permission" in caught.value.detail
    sink = CassandraSink(guarded.context("reader", "secret"))
    with pytest.raises(Unauthorized, match="FLX-4752"):
        sink.write(batch_of(SCHEMA, [[3, "c"]]), None)
    sink.close()
