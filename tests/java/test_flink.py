"""The format inside Flink: brought by ADD JAR, records from a topic, good rows and rejected ones beside each other."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from tools.build_java import JAR

from fluxline.clock import SystemClock
from fluxline.stack.running import running_stack
from tests.formats.reading import schema_of
from tests.java.judge import Question, embedded_verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fluxline.stack.running import Stack

pytestmark = pytest.mark.servers

WAIT_MS_MAX = 120_000
SCHEMA = schema_of(id="BIGINT NOT NULL", amount="DECIMAL(10, 2)", at="TIMESTAMP(3)", tags="ARRAY<STRING NOT NULL>")
COLUMNS = "`id` BIGINT, `amount` DECIMAL(10, 2), `at` TIMESTAMP(3), `tags` ARRAY<STRING NOT NULL>"
METADATA = (
    "`reject` STRING METADATA FROM 'value.reject' VIRTUAL, `detail` STRING METADATA FROM 'value.detail' VIRTUAL, "
    "`raw` BYTES METADATA FROM 'value.raw' VIRTUAL, `offset` BIGINT METADATA VIRTUAL"
)
REQUIRED = {"fluxline-json.not-null": "id"}
RECORDS: list[bytes | None] = [
    b'{"id":1,"amount":1.5,"at":"2026-01-31T10:00:00.5","tags":["a","b"]}',
    b'{"id":2}',
    b'{"id":12.7}',
    b'{"id":"3"}',
    b'{"amount":1}',
    b'{"id":4,"amount":1.555}',
    b'{"id":5,"at":"2026-02-30T00:00:00"}',
    b'{"id":6} x',
    b'[{"id":7},{"id":8}]',
    b'\xef\xbb\xbf{"id":9}',
    b'{"id":10,"unread":"\xff"}',
    b'{"id":11,"tags":[null]}',
    b'{"id":"x","id":12,"unread":{"id":13}}',
    b"",
    None,
    b'{"id":14,"at":"2026-01-31T10:00:01"}',
]


class Gateway:
    """One session of the SQL Gateway that knows the format."""

    def __init__(self, address: str) -> None:
        self._address = address
        properties = {"restart-strategy.type": "none", "table.local-time-zone": "UTC", "parallelism.default": "1"}
        self._session = self._ask("/v1/sessions", {"properties": properties})["sessionHandle"]
        self.rows(f"ADD JAR '{JAR}'")

    def rows(self, statement: str) -> list[list[Any]]:
        """The rows of a statement.

        Raises:
            AssertionError: with what Flink said.
        """
        operation = self._ask(f"/v1/sessions/{self._session}/statements", {"statement": statement})["operationHandle"]
        page, rows, clock = f"/v1/sessions/{self._session}/operations/{operation}/result/0?rowFormat=JSON", [], SystemClock()
        deadline_ms = clock.monotonic_ms() + WAIT_MS_MAX
        while True:
            answer = self._ask(page)
            rows += [row["fields"] for row in answer.get("results", {}).get("data", [])]
            if answer["resultType"] == "EOS":
                return rows
            page = answer.get("nextResultUri", page)
            assert clock.monotonic_ms() < deadline_ms, answer
            clock.wait(Event(), 50)

    def _ask(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(urllib.request.Request(self._address + path, data, {"Content-Type": "application/json"})) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from None


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(("kafka", "flink"), directory=tmp_path_factory.mktemp("stack"), die_with_parent=True) as started:
        produce(started, "records", RECORDS)
        yield started


@pytest.fixture
def gateway(stack: Stack) -> Gateway:
    return Gateway(stack.flink.gateway)


def produce(stack: Stack, topic: str, records: Sequence[bytes | None]) -> None:
    """Write the records in this order into the only partition of a new topic."""
    from confluent_kafka import Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    admin = AdminClient({"bootstrap.servers": stack.kafka.bootstrap})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": stack.kafka.bootstrap, "enable.idempotence": True})
    for record in records:
        producer.produce(topic, record)
    assert producer.flush(30) == 0


def table(name: str, columns: str, stack: Stack, topic: str, options: dict[str, str]) -> str:
    """The statement that makes a table of a topic, from its first record to the last one that is there now."""
    everything = {
        "connector": "kafka", "topic": topic, "properties.bootstrap.servers": stack.kafka.bootstrap, "scan.startup.mode": "earliest-offset",
        "scan.bounded.mode": "latest-offset", "format": "fluxline-json", **options,
    }  # fmt: skip
    listed = ", ".join(f"'{key}'='{value}'" for key, value in everything.items())
    return f"CREATE TEMPORARY TABLE {name} ({columns}) WITH ({listed})"


def test_each_record_is_a_row_or_a_reject(stack: Stack, gateway: Gateway) -> None:
    """Position, reason, bytes and values of each, as the embedded decoder has them."""
    gateway.rows(table("records", f"{COLUMNS}, {METADATA}", stack, "records", REQUIRED))
    rows = gateway.rows(
        "SELECT `offset`, `reject`, `raw`, `id`, CAST(`amount` AS STRING), CAST(`at` AS STRING), CARDINALITY(`tags`), `detail` FROM records"
    )
    verdicts = embedded_verdicts(Question(SCHEMA, "ISO-8601", RECORDS))
    assert [row[:2] for row in rows] == [[index, verdict if isinstance(verdict, str) else None] for index, verdict in enumerate(verdicts)]
    for row, record in zip(rows, RECORDS, strict=True):
        assert row[2] == (None if record is None else base64.b64encode(record).decode())
        assert (row[7] is None) == (row[1] is None)
    good = [row[3:7] for row in rows if row[1] is None]
    assert good == [
        [1, "1.50", "2026-01-31 10:00:00.500", 2], [2, None, None, None], [12, None, None, None], [14, None, "2026-01-31 10:00:01.000", None],
    ]  # fmt: skip
    assert all(row[3:7] == [None] * 4 for row in rows if row[1] is not None)
    assert rows[2][7] == 'Field "id" is BIGINT, and it holds the number 12.7.'


def test_good_and_rejected_rows_into_two_topics(stack: Stack, gateway: Gateway) -> None:
    """One job reads the source once; a rejected row moves no watermark, and of the two outputs nothing is missing."""
    for topic in ("counts", "rejected"):
        produce(stack, topic, [])
    gateway.rows(table("source", f"{COLUMNS}, {METADATA}, WATERMARK FOR `at` AS `at` - INTERVAL '1' SECOND", stack, "records", REQUIRED))
    gateway.rows(table("counts", "`first` BIGINT, `rows` BIGINT", stack, "counts", {"format": "json"}))
    gateway.rows(table("rejected", "`reason` STRING, `record` BYTES, `position` BIGINT", stack, "rejected", {"format": "json"}))
    gateway.rows("SET 'table.dml-sync'='true'")
    gateway.rows("""
        EXECUTE STATEMENT SET BEGIN
        INSERT INTO counts SELECT MIN(`id`), COUNT(*) FROM TABLE(TUMBLE(DATA => (SELECT * FROM source WHERE `reject` IS NULL AND `at` IS NOT NULL),
          TIMECOL => DESCRIPTOR(`at`), SIZE => INTERVAL '1' SECOND)) GROUP BY window_start, window_end;
        INSERT INTO rejected SELECT COALESCE(`reject`, 'no_event_time'), `raw`, `offset` FROM source WHERE `reject` IS NOT NULL OR `at` IS NULL;
        END""")
    windows = gateway.rows("SELECT * FROM counts")
    assert sorted(windows) == [[1, 1], [14, 1]]
    verdicts = embedded_verdicts(Question(SCHEMA, "ISO-8601", RECORDS))
    wanted = [[verdict, index] for index, verdict in enumerate(verdicts) if isinstance(verdict, str)] + [["no_event_time", 1], ["no_event_time", 12]]
    assert sorted(gateway.rows("SELECT `reason`, `position` FROM rejected")) == sorted(wanted)
    assert len(wanted) + len(windows) == len(RECORDS)


def test_without_metadata_a_rejected_record_fails_the_job(stack: Stack, gateway: Gateway) -> None:
    """It says which reason; the columns may be NOT NULL then."""
    columns = COLUMNS.replace("BIGINT", "BIGINT NOT NULL")
    gateway.rows(table("strict", columns, stack, "records", {}))
    with pytest.raises(AssertionError, match=r"A record is rejected \(wrong_type\), and the table has no metadata column for it"):
        gateway.rows("SELECT `id` FROM strict")


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ("`id` BIGINT NOT NULL", {}, "Column 'id' is NOT NULL, and the row of a rejected record holds NULL in it"),
        ("`id` BIGINT", {"fluxline-json.not-null": "id;other"}, "names 'other', which is no column of the value"),
        ("`id` BIGINT", {"fluxline-json.timestamp-format.standard": "RFC"}, "is ISO-8601 or SQL, not 'RFC'"),
        ("`id` BIGINT", {"fluxline-json.ignore-parse-errors": "true"}, "Unsupported options"),
        ("`id` MULTISET<STRING>", {}, "does not hold MULTISET<STRING>"),
        ("`id` MAP<INT NOT NULL, STRING>", {}, "The keys of a JSON object are text"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_job(stack: Stack, gateway: Gateway, columns: str, options: dict[str, str], said: str) -> None:
    gateway.rows(table("refused", f"{columns}, {METADATA}", stack, "records", options))
    with pytest.raises(AssertionError, match=said):
        gateway.rows("EXPLAIN SELECT * FROM refused WHERE `reject` IS NULL")
