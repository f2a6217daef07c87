"""The tables of a plan's sources and sinks, and the view that reads a source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fluxline.connectors.base import FlinkEnd
from fluxline.dialect import tree
from fluxline.engines.flink.broken import FROM
from fluxline.engines.flink.expressions import to_term
from fluxline.engines.flink.heartbeats import HEARTBEAT, IS_HEARTBEAT, NO_HEARTBEAT, heartbeat_columns, or_heartbeat
from fluxline.engines.flink.late import ARRIVED, PARTITION, SEEN, seen
from fluxline.errors import UnsupportedByEngine
from fluxline.plan import nodes
from fluxline.plan.expressions import Column
from fluxline.schema import BIGINT, BYTES, STRING, parse_type, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.connectors.base import FlinkForm
    from fluxline.engines.base import Endpoint
    from fluxline.formats.base import FlinkFormat


@dataclass(frozen=True, slots=True)
class Settings:
    """What a submission chooses beside the plan.

    Attributes:
        bounded: end where the input ends now.
        partitions: how many partitions a source had when the job was first submitted, where that is known: its rows are
            then spread evenly. A job that goes on from saved state keeps the number that it began with.
        parallelism: how often each step runs side by side; None leaves it to the cluster.
        transactions: an identity that is this pipeline's alone; sinks that are to write exactly once name their transactions by it, and
            sources the groups that show their positions.
        heartbeats: sources with event time may hold heartbeats. These are records without columns, so the plan must take the rejected
            records of each such source, or one fails the job.
    """

    bounded: bool = False
    partitions: Mapping[str, int] = field(default_factory=dict)
    parallelism: int | None = None
    transactions: str | None = None
    heartbeats: bool = False


REASON, DETAIL, RECORD, POSITION, LOGGED = "$reason", "$detail", "$record", "$position", "$logged"
"""Hidden columns of a source's table: why a record was rejected, its bytes, its position, and when it was logged."""

BY_WORKERS = "let workers bring its records into a topic, with ingest = true in its binding"
TIME_ATTRIBUTE_DIGITS = 3  # Flink takes no time attribute of finer digits.


def needs_partitions(plan: nodes.Plan) -> set[nodes.Node]:
    """The nodes from whose rows a window judges lateness by the partition: all from the sources up to the window."""
    found: set[nodes.Node] = set()

    def mark(node: nodes.Node) -> None:
        found.add(node)
        for part in node.inputs:
            mark(part)

    for node in plan.nodes():
        if isinstance(node, nodes.WindowAggregate) and node.input.time is not None and node.input.time.strategy.lateness == "partition":
            mark(node.input)
    return found


@dataclass(frozen=True, slots=True)
class Shown:
    """What a source's table has to show beside the declared columns.

    Attributes:
        partition: the partition and the time of arrival, for those who judge lateness.
        rejects: why a record was rejected, its bytes and its position.
        origin: the partition as text, for the rejected rows of expectations.
    """

    partition: bool
    rejects: bool
    origin: bool = False


def source_table(scan: nodes.Scan, endpoint: Endpoint, settings: Settings, shown: Shown) -> tree.CreateTable:
    """CREATE TABLE of a source.

    Raises:
        UnsupportedByEngine: FLX-2650, FLX-2651 or FLX-2652.
    """
    form, known, options = _options(endpoint, "source", (), settings)
    _refuse_metadata(scan, form)
    nullable = {field.name for field in scan.decoded if field.type.nullable}  # With the event time, which may be missing.
    columns = [
        tree.TableColumn(field.name, field.type.with_nullable(field.name in nullable or field.type.nullable), metadata=field.metadata)
        for field in scan.declared
    ]
    if known is not None and known.not_null is not None:  # Only what is read is judged, and a rejected record is a row of NULLs.
        columns = [tree.TableColumn(field.name, field.type.with_nullable(field.metadata is None), metadata=field.metadata) for field in scan.decoded]
        required = [field.name for field in scan.decoded if not field.type.nullable and field.metadata is None]
        if required:
            options[known.not_null] = ";".join(required)
    if shown.rejects:
        columns += _reject_columns(scan, form, known)
    if shown.partition or shown.rejects or shown.origin:
        key, kind = _partition_of(scan, form, shown)
        columns.append(tree.TableColumn(PARTITION, parse_type(kind), metadata=key))
    if shown.partition:
        columns.append(tree.TableColumn(ARRIVED, computed=tree.Function("PROCTIME", ())))
    if form.logged_at is not None and scan.strategy is not None and scan.strategy.max_future_skew_ms is not None:
        columns.append(tree.TableColumn(LOGGED, timestamp(3, local=True), metadata=form.logged_at))
    watermark = None
    if scan.event_time is not None and scan.strategy is not None:
        name = scan.event_time.name
        if (scan.event_time.expression.type.precision or 0) > TIME_ATTRIBUTE_DIGITS:
            detail = f"It is {scan.event_time.expression.type.text()}; Flink takes a precision of 3 at most."
            raise UnsupportedByEngine("FLX-2650", f'column "{name}" cannot carry event time on Flink', detail=detail)
        if not isinstance(scan.event_time.expression, Column):
            columns = [column for column in columns if column.name != name]
            columns.append(tree.TableColumn(name, computed=to_term(scan.event_time.expression)))
        value: tree.Term = tree.Spelled("{0} - {1}", (tree.Name(name), tree.Interval(scan.strategy.effective_delay_ms)))
        branches = [(_all_of(_counts(scan, form, known)), value)]  # A row that does not count moves no watermark.
        if settings.heartbeats:
            assert shown.rejects and "headers" in form.metadata, "heartbeats have no columns, and a header tells them apart"
            columns += heartbeat_columns(scan)
            branches.insert(0, (IS_HEARTBEAT, tree.Name(HEARTBEAT)))
        watermark = tree.Watermark(name, tree.CaseOf(tuple(branches), tree.Verbatim("NULL")))
        if form.follows_partitions and scan.strategy.idle_after_ms is not None:
            options["scan.watermark.idle-timeout"] = f"{scan.strategy.idle_after_ms} ms"
    if (at_most := _readers(scan, form, settings)) is not None:
        options["scan.parallelism"] = str(at_most)
    return tree.CreateTable(scan.source, tuple(columns), tuple(options.items()), watermark)


def _partition_of(scan: nodes.Scan, form: FlinkForm, shown: Shown) -> tuple[str, str]:
    """The metadata that tells partitions apart, and its type.

    Raises:
        UnsupportedByEngine: FLX-2652, there is none; or rejected rows are to show it, and it is not what the embedded engine shows.
    """
    if form.partition is None:
        raise UnsupportedByEngine(
            "FLX-2652",
            f'Flink does not tell the partitions of source "{scan.source}" apart',
            detail="Late rows are found by their own partition.",
            hint=f'Set lateness="operator" at the source, or {BY_WORKERS}.',
        )
    if shown.origin and form.partition[1] != "INT":  # Names of files: a path on one machine, an address on the other.
        raise UnsupportedByEngine(
            "FLX-2652",
            f'Flink has other names for the partitions of source "{scan.source}"',
            detail="Rejected rows of an expectation tell which one they come from.",
            hint="Leave the rejected output out in this environment, or bind the source to a topic.",
            place=scan.place,
        )
    return form.partition


def _readers(scan: nodes.Scan, form: FlinkForm, settings: Settings) -> int | None:
    """How many subtasks read, where it is fewer than all: one without a partition would hold back every window."""
    known = settings.partitions.get(scan.source)
    if not form.follows_partitions or known is None or settings.parallelism is None:
        return None
    return known if known < settings.parallelism else None


def _refuse_metadata(scan: nodes.Scan, form: FlinkForm) -> None:
    """Refuse columns of a record's metadata that Flink does not know.

    Raises:
        UnsupportedByEngine: FLX-2652.
    """
    for item in scan.decoded:
        if item.metadata is not None and item.metadata not in form.metadata:
            raise UnsupportedByEngine(
                "FLX-2652",
                f'Flink does not know the metadata "{item.metadata}" of source "{scan.source}"',
                detail=f"It knows {', '.join(form.metadata) or 'none'}.",
                hint=f'Leave column "{item.name}" out, or run the pipeline on the embedded engine.',
                place=scan.place,
            )


def _reject_columns(scan: nodes.Scan, form: FlinkForm, known: FlinkFormat | None) -> list[tree.TableColumn]:
    """The columns that tell of rejected records.

    Raises:
        UnsupportedByEngine: FLX-2652, Flink cannot tell.
    """
    if known is None or not known.shows_rejects or not form.shows_metadata_of_formats or form.position is None:
        raise UnsupportedByEngine(
            "FLX-2652",
            f'Flink does not show the rejected records of source "{scan.source}"',
            detail="That takes a format that tells of them, json, and a connector that passes it on, kafka.",
            hint=f"Leave the rejected output out in this environment, bind the source to a topic with JSON, or {BY_WORKERS}.",
            place=scan.place,
        )
    metadata = ((REASON, STRING, "value.reject"), (DETAIL, STRING, "value.detail"), (RECORD, BYTES, "value.raw"), (POSITION, BIGINT, form.position))
    return [tree.TableColumn(name, kind, metadata=key) for name, kind, key in metadata]


def _counts(scan: nodes.Scan, form: FlinkForm | None, known: FlinkFormat | None) -> tuple[tree.Term, ...]:
    """What holds for a row that is read: no NULL where none may be, and a time that is no dream.

    The strict format rejects a record that lacks a column which is never NULL; Flink's own ones give NULL, whatever the column says.
    """
    names = [] if known is not None and known.not_null is not None else [field.name for field in scan.decoded if not field.type.nullable]
    if scan.event_time is not None:  # Also where it is declared NOT NULL: a row without it is rejected as one without event time.
        names.append(scan.event_time.name)
    conditions = tuple(tree.Spelled("{0} IS NOT NULL", (tree.Name(name),)) for name in names)
    near = scan.strategy is not None and scan.strategy.max_future_skew_ms is not None
    return (*conditions, _near_enough(scan, form)) if near else conditions


def _all_of(conditions: tuple[tree.Term, ...]) -> tree.Term:
    return tree.Spelled(" AND ".join(f"{{{number}}}" for number in range(len(conditions))), conditions)


def _near_enough(scan: nodes.Scan, form: FlinkForm | None) -> tree.Term:
    """Whether the event time is not too far ahead: of the time at which the record was logged, where that is known, else of now."""
    assert scan.event_time is not None and scan.strategy is not None and scan.strategy.max_future_skew_ms is not None
    local = scan.event_time.expression.type.root == "TIMESTAMP_LTZ"
    now: tree.Term = tree.Verbatim("CURRENT_TIMESTAMP" if local else "LOCALTIMESTAMP")
    if form is not None and form.logged_at is not None:
        now = tree.Name(LOGGED) if local else tree.CastTo(tree.Name(LOGGED), timestamp(3, local=False))
    return tree.Spelled("{0} <= {1} + {2}", (tree.Name(scan.event_time.name), now, tree.Interval(scan.strategy.max_future_skew_ms)))


def source_view(scan: nodes.Scan, endpoint: Endpoint, settings: Settings, shown: Shown) -> tree.Select:
    """What is read of the table: rows that count, the partition's maximum beside each, then the pushed filter."""
    form = endpoint.connector.flink
    known = _format_of(endpoint, "source")
    healthy = ((tree.Spelled("{0} IS NULL", (tree.Name(REASON),)),) if shown.rejects else ()) + _counts(scan, form, known)
    table = tree.Table(scan.source)
    pushed = () if scan.predicate is None else (to_term(scan.predicate),)
    beats = settings.heartbeats and scan.event_time is not None
    if beats:
        pushed = (NO_HEARTBEAT, *pushed)
    columns = tuple(tree.Item(tree.Name(field.name)) for field in scan.schema)
    origin = (tree.Item(tree.CastTo(tree.Name(PARTITION), STRING), FROM),) if shown.origin else ()
    if not shown.partition:
        return tree.Select(table, (*columns, *origin), (*healthy, *pushed))
    assert scan.event_time is not None, "who is judged has event time"
    name = scan.event_time.name
    every = (*(tree.Item(tree.Name(field.name)) for field in scan.decoded if field.name != name), tree.Item(tree.Name(name)))
    # Only numbers of partitions can be given other keys.
    number = settings.partitions.get(scan.source) if form is not None and form.partition is not None and form.partition[1] == "INT" else None
    if beats:  # They count for the maximum, and go no further.
        healthy = (or_heartbeat(_all_of(healthy)),)
        every = (*every, tree.Item(tree.Name(HEARTBEAT)))
    inner = tree.Select(table, (*every, *origin, seen(scan, number, beats=beats)), healthy)
    hidden = (SEEN, FROM) if shown.origin else (SEEN,)
    return tree.Select(inner, (*columns, *(tree.Item(tree.Name(column)) for column in hidden)), pushed)


def rejected_rows(scan: nodes.Scan, endpoint: Endpoint, pipeline: str, operator: str, settings: Settings) -> tree.Select:
    """The records that are not read, as rows of the rejected output."""
    form = endpoint.connector.flink
    why = [tree.Spelled("{0} IS NOT NULL", (tree.Name(REASON),))]
    reason: tree.Term = tree.Name(REASON)
    time: tree.Term = tree.CastTo(tree.Verbatim("NULL"), timestamp(3, local=True))
    branches = []
    if scan.event_time is not None:
        at = tree.Name(scan.event_time.name)
        why.append(tree.Spelled("{0} IS NULL", (at,)))
        branches.append((why[-1], tree.Text("no_event_time")))
        if scan.strategy is not None and scan.strategy.max_future_skew_ms is not None:
            why.append(tree.Spelled("NOT {0}", (_near_enough(scan, form),)))
            branches.append((why[-1], tree.Text("too_far_ahead")))
            time = tree.CastTo(at, timestamp(3, local=True))
    if branches:
        reason = tree.CaseOf(((tree.Spelled("{0} IS NOT NULL", (reason,)), reason), *branches), tree.Verbatim("NULL"))
    values = {
        "pipeline": tree.Text(pipeline),
        "operator": tree.Text(operator),
        "reason": reason,
        "detail": tree.Name(DETAIL),
        "rule": tree.CastTo(tree.Verbatim("NULL"), STRING),
        "record": tree.Name(RECORD),
        "partition": tree.CastTo(tree.Name(PARTITION), STRING),
        "position": tree.Name(POSITION),
        "event_time": time,
        "rejected_at": tree.CastTo(tree.Verbatim("CURRENT_TIMESTAMP"), timestamp(3, local=True)),
    }
    condition = why[0] if len(why) == 1 else tree.Spelled(" OR ".join(f"{{{number}}}" for number in range(len(why))), tuple(why))
    conditions: tuple[tree.Term, ...] = (condition,)
    if settings.heartbeats and scan.event_time is not None:
        conditions = (NO_HEARTBEAT, condition)
    return tree.Select(tree.Table(scan.source), tuple(tree.Item(value, name) for name, value in values.items()), conditions)


def sink_table(name: str, sink: nodes.Sink, endpoint: Endpoint, settings: Settings) -> tree.CreateTable:
    """CREATE TABLE of a sink.

    Raises:
        UnsupportedByEngine: FLX-2651, FLX-2652 or FLX-2655.
    """
    form, _, options = _options(endpoint, "sink", sink.row_key or (), settings, updating=sink.updating)
    columns = tuple(tree.TableColumn(field.name, field.type) for field in sink.schema.visible())
    # A primary key is a promise to replace rows; who appends uses the key to choose a partition.
    replaced = (sink.row_key or ()) if sink.updating or not form.appends_by_key else ()
    nullable = [key for key in replaced if sink.schema.field(key).type.nullable]
    if nullable:
        raise UnsupportedByEngine(
            "FLX-2655",
            f'the key of sink "{sink.name}" may be NULL, and a primary key of Flink never is',
            detail=f"Column {', '.join(repr(name) for name in nullable)} may be NULL; the job would fail at the first such row.".replace("'", '"'),
            hint='Give NULL a value, such as coalesce(col("name"), ""), or declare the column without "| None".',
        )
    return tree.CreateTable(name, columns, tuple(options.items()), None, replaced)


def _options(
    endpoint: Endpoint, role: Literal["source", "sink"], key: tuple[str, ...], settings: Settings, *, updating: bool = False
) -> tuple[FlinkForm, FlinkFormat | None, dict[str, str]]:
    form = endpoint.connector.flink
    if form is None or role not in form.roles:
        raise UnsupportedByEngine(
            "FLX-2652",
            f'Flink has no {role} "{endpoint.connector.name}" (of "{endpoint.name}")',
            hint="Choose another connector in this environment, or run the pipeline on the embedded engine.",
        )
    known = _format_of(endpoint, role)
    name, options = (None, {}) if known is None else (known.name, known.options)
    once = settings.transactions is not None and endpoint.guarantee == "exactly_once"
    transactions = f"{settings.transactions}-{endpoint.name}" if once else None
    group = None if settings.transactions is None or role == "sink" else source_group(settings.transactions, endpoint.name)
    end = FlinkEnd(endpoint.name, endpoint.options, role, key, name, options, endpoint.directory, settings.bounded, updating, transactions, group)
    return form, known, dict(form.table(end))


def source_group(identity: str, source: str) -> str:
    """The consumer group that shows how far a source is read; nobody reads as a member of it."""
    return f"fluxline-{identity}-{source}"


def _format_of(endpoint: Endpoint, role: Literal["source", "sink"]) -> FlinkFormat | None:
    """Flink's form of the format, where bytes pass.

    Raises:
        UnsupportedByEngine: FLX-2651, FLX-2652.
    """
    if endpoint.format is None:
        return None
    if endpoint.format.flink is None or endpoint.format_options is None:
        raise UnsupportedByEngine("FLX-2652", f'Flink has no format "{endpoint.format.name}" (of "{endpoint.name}")')
    return endpoint.format.flink(endpoint.format_options, role)
