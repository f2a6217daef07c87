"""The client of the SQL Gateway, against answers that were written down from a Flink 2.3.0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fluxline.clock import VirtualClock
from fluxline.engines.flink.gateway import Gateway, Session, check_version
from fluxline.engines.flink.transport import read_failure
from fluxline.errors import ConfigError, ConnectionLost, ExternalError, ResourceMissing, UnsupportedByEngine
from tests.engines.flink.answers import answering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engines.flink.answers import Answers

SESSION = "/v3/sessions/s1"
OPERATION = f"{SESSION}/operations/o1"
NOT_FOUND = """<Exception on server side:
org.apache.flink.table.gateway.api.utils.SqlGatewayException: Failed to fetchResults.
\tat org.apache.flink.table.gateway.rest.handler.FetchResultsHandler.handleRequest(FetchResultsHandler.java:91)
Caused by: org.apache.flink.table.api.ValidationException: SQL validation failed. From line 2, column 3 to line 2, column 4: Column 'zz' not found
\tat org.apache.flink.table.planner.calcite.FlinkPlannerImpl.validate(FlinkPlannerImpl.scala:210)
\t... 7 more
Caused by: org.apache.calcite.runtime.CalciteContextException: From line 2, column 3 to line 2, column 4: Column 'zz' not found in any table
\tat java.base/java.lang.Thread.run(Thread.java:840)
Caused by: org.apache.calcite.sql.validate.SqlValidatorException: Column 'zz' not found in any table
\t... 5 more

End of exception on server side>"""


@pytest.fixture
def answers() -> Iterator[Answers]:
    with answering() as found:
        found.give("GET /info", {"productName": "Apache Flink", "version": "2.3.0"})
        found.give("POST /v3/sessions", {"sessionHandle": "s1"})
        found.give(f"POST {SESSION}/statements", {"operationHandle": "o1"})
        found.give(f"GET {OPERATION}/status", {"status": "FINISHED"})
        found.give(f"DELETE {OPERATION}/close", {"status": "CLOSED"})
        found.give(f"DELETE {SESSION}", {"status": "CLOSED"})
        yield found


def page(kind: str, rows: list[tuple[str, list[Any]]], following: int | None = None, **more: object) -> dict[str, Any]:
    results = {"columns": [{"name": "k"}, {"name": "s"}], "data": [{"kind": kind, "fields": fields} for kind, fields in rows]}
    uri = {} if following is None else {"nextResultUri": f"{OPERATION}/result/{following}?rowFormat=JSON"}
    return {"resultType": kind, "results": results, **uri, **more}


def opened(answers: Answers) -> Session:
    return Gateway(answers.address, VirtualClock(0)).open_session({"table.local-time-zone": "UTC"})


def refused(answers: Answers, stack: str, statement: str = "SELECT 1") -> ExternalError:
    answers.give(f"GET {OPERATION}/status", {"status": "ERROR"})
    answers.fail(f"GET {OPERATION}/result/0?rowFormat=JSON", stack)
    with pytest.raises(ExternalError) as raised:
        opened(answers).execute(statement)
    return raised.value


def test_all_pages_of_a_query(answers: Answers) -> None:
    """A page that is not ready and one without rows are asked for until rows or the end come."""
    answers.give(f"GET {OPERATION}/status", {"status": "PENDING"}, {"status": "RUNNING"}, {"status": "FINISHED"})
    not_ready = {"resultType": "NOT_READY", "nextResultUri": f"{OPERATION}/result/0?rowFormat=JSON"}
    first = page("PAYLOAD", [("INSERT", ["a", 1])], 1, jobID="j1")
    answers.give(f"GET {OPERATION}/result/0?rowFormat=JSON", not_ready, first)
    answers.give(f"GET {OPERATION}/result/1?rowFormat=JSON", page("PAYLOAD", [], 2, jobID="j1"))
    answers.give(f"GET {OPERATION}/result/2?rowFormat=JSON", page("PAYLOAD", [("UPDATE_BEFORE", ["a", 1]), ("UPDATE_AFTER", ["a", None])], 3))
    answers.give(f"GET {OPERATION}/result/3?rowFormat=JSON", page("EOS", []))
    with opened(answers) as session:
        result = session.execute("SELECT k, SUM(v) AS s FROM t GROUP BY k")
    assert result.columns == ("k", "s")
    assert result.rows == (("a", 1), ("a", 1), ("a", None))
    assert result.kinds == ("INSERT", "UPDATE_BEFORE", "UPDATE_AFTER")
    assert result.job_id == "j1"
    assert answers.asked[1] == ("POST /v3/sessions", {"properties": {"table.local-time-zone": "UTC"}})
    assert answers.asked[2] == (f"POST {SESSION}/statements", {"statement": "SELECT k, SUM(v) AS s FROM t GROUP BY k"})
    assert answers.asked[-1] == (f"DELETE {SESSION}", None)


def test_the_place_of_a_mistake(answers: Answers) -> None:
    error = refused(answers, NOT_FOUND, "SELECT\n  zz FROM t")
    assert (error.code, error.fact) == ("FLX-4503", "Flink refuses: Column 'zz' not found in any table")
    assert error.detail == "In line 2: zz FROM t"
    assert error.place is not None
    assert (error.place.line, error.place.column, error.place.end_column) == (2, 3, 5)


def test_a_parser_that_lists_all_it_would_have_taken(answers: Answers) -> None:
    said = 'Encountered "<EOF>" at line 1, column 9.\nWas expecting one of:\n    "EXCEPT" ...\n'
    error = refused(answers, f"a.B: c\n\tat d\nCaused by: org.apache.calcite.sql.parser.SqlParseException: {said}\tat e", "SELECT (1")
    assert error.fact == 'Flink refuses: Encountered "<EOF>" at line 1, column 9'
    assert error.place is not None
    assert (error.place.line, error.place.column, error.place.end_column) == (1, 9, None)


def test_a_failure_without_a_place(answers: Answers) -> None:
    error = refused(answers, "a.B: c\n\tat d\nCaused by: java.lang.ArithmeticException: Division by zero\n\tat e", "SELECT 1/0")
    assert (error.code, error.fact, error.place) == ("FLX-4503", "Flink refuses: Division by zero", None)
    assert error.detail == "The statement begins: SELECT 1/0"


def test_a_missing_jar(answers: Answers) -> None:
    message = (
        "Could not find any factory for identifier 'kafka' that implements 'org.apache.flink.table.factories.DynamicTableFactory' in the classpath."
        "\n\nAvailable factory identifiers are:\n\nblackhole\ndatagen"
    )
    error = refused(answers, f"a.B: c\nCaused by: org.apache.flink.table.api.ValidationException: {message}\n\tat d")
    assert isinstance(error, ResourceMissing)
    assert (error.code, error.fact) == ("FLX-4504", 'Flink has no connector or format "kafka"')
    assert error.detail.endswith("in the classpath. Available factory identifiers are: blackhole, datagen.")
    error = refused(answers, "a.B: c\nCaused by: java.lang.NoClassDefFoundError: org/apache/kafka/clients/Consumer\n\tat d")
    assert (error.code, error.fact) == ("FLX-4504", 'Flink has no class "org/apache/kafka/clients/Consumer"')


def test_no_slots(answers: Answers) -> None:
    kind = "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException"
    error = refused(answers, f"a.B: c\n\tat d\nCaused by: {kind}: Could not acquire the minimum required resources.\n\tat e")
    assert error.code == "FLX-4505"


def test_a_session_that_is_gone(answers: Answers) -> None:
    session = opened(answers)
    stack = "a.B: c\n\tat d\nCaused by: org.apache.flink.table.gateway.api.utils.SqlGatewayException: Session 's1' does not exist.\n\tat e"
    answers.fail(f"POST {SESSION}/statements", stack)
    answers.fail(f"DELETE {SESSION}", stack)
    with pytest.raises(ResourceMissing) as raised, session:
        session.execute("SHOW JOBS")
    assert raised.value.code == "FLX-4508"


def test_a_statement_that_takes_too_long_is_cancelled(answers: Answers) -> None:
    answers.give(f"GET {OPERATION}/status", {"status": "RUNNING"})
    with pytest.raises(ExternalError) as raised:
        opened(answers).execute("SELECT *\nFROM t", timeout_ms=200)
    assert (raised.value.code, raised.value.fact) == ("FLX-4509", 'Flink does not finish the statement "SELECT *" in time')
    assert answers.asked[-1] == (f"DELETE {OPERATION}/close", None)


def test_too_many_rows(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxline.engines.flink.gateway.FLINK_RESULT_ROWS_MAX", 2)
    answers.give(f"GET {OPERATION}/result/0?rowFormat=JSON", page("PAYLOAD", [("INSERT", ["a", 1])] * 3, 1))
    with pytest.raises(ExternalError) as raised:
        opened(answers).execute("SELECT * FROM t")
    assert raised.value.code == "FLX-4513"


@pytest.mark.parametrize("version", ["2.2.1", "1.20.0", "", "two", "1.99"])
def test_an_older_flink(answers: Answers, version: str) -> None:
    answers.give("GET /info", {"productName": "Apache Flink", "version": version})
    with pytest.raises(UnsupportedByEngine) as raised:
        Gateway(answers.address)
    assert raised.value.code == "FLX-4501"
    assert f'is version "{version}"' in raised.value.fact


@pytest.mark.parametrize("version", ["2.3.0", "2.10.0", "3.0-SNAPSHOT"])
def test_a_flink_that_is_new_enough(version: str) -> None:
    check_version(version, "here")


def test_somebody_else_answers(answers: Answers) -> None:
    for body, status in ((b"<html>", 200), (b"<html>", 404), ({"message": "no"}, 500), (b"", 503)):
        answers.give("GET /info", body, status=status)
        with pytest.raises(ExternalError) as raised:
            Gateway(answers.address)
        assert raised.value.code == "FLX-4511"
        assert str(status) in raised.value.detail
    answers.fail("GET /info", "Unable to load requested file /info.", status=404)
    with pytest.raises(ExternalError, match="is no SQL Gateway"):
        Gateway(answers.address)


def test_nobody_answers() -> None:
    with answering() as gone:
        address = gone.address
    with pytest.raises(ConnectionLost) as raised:
        Gateway(address)
    assert raised.value.code == "FLX-4502"
    assert raised.value.retry


@pytest.mark.parametrize("address", ["127.0.0.1:8083", "ftp://here", "http://", "http://here:port", ""])
def test_no_address(address: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Gateway(address)
    assert raised.value.code == "FLX-4512"


def test_a_stack_without_causes() -> None:
    assert read_failure("java.lang.IllegalStateException\n\tat a.b(C.java:1)").message == "IllegalStateException"
    assert read_failure('Cannot resolve path parameter (jobid) from value "xx".').kind == ""
    nested = read_failure("a.Outer: one\n\tat x\nCaused by: a.b.Outer$Inner: first\nsecond\n\tat y\n\tSuppressed: z: no\n")
    assert (nested.kind, nested.message) == ("Inner", "first\nsecond")
