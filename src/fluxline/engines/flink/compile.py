"""A plan becomes Flink SQL: a table per source and sink, a view per step that has a name or several readers, one statement set.

Everything that Flink cannot do is collected and refused at once, before anything is submitted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fluxline.dialect import tree
from fluxline.dialect.printer import print_script, print_statement
from fluxline.engines.flink.broken import FROM, NO_PARTITION, ROW_TEXT, broken_rows, know_their_partition, shown_expectations
from fluxline.engines.flink.expressions import measure_term, to_term
from fluxline.engines.flink.key_groups import GROUPS
from fluxline.engines.flink.late import SEEN, is_late
from fluxline.engines.flink.tables import Settings, Shown, needs_partitions, rejected_rows, sink_table, source_table, source_view
from fluxline.errors import UnsupportedByEngine
from fluxline.plan import nodes
from fluxline.plan.names import name_operators
from fluxline.plan.window import WINDOW_END, WINDOW_START, WINDOW_TIME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.engines.base import Endpoint

ADVICE = "Run the pipeline on the embedded engine, or leave the step out."


@dataclass(frozen=True, slots=True)
class Compiled:
    """What is submitted.

    Attributes:
        statements: functions, tables and views, then the statement set.
        properties: settings of the session.
        warnings: in which points the job differs from the embedded engine, full sentences.
        secrets: the options of WITH (...) that people are not shown.
    """

    statements: tuple[tree.Statement, ...]
    properties: Mapping[str, str]
    warnings: tuple[str, ...]
    secrets: frozenset[str] = frozenset()

    def script(self) -> str:
        """All statements as one text for people, who see no secret."""
        return print_script(tuple(_without_secrets(statement, self.secrets) for statement in self.statements))

    def look(self) -> str:
        """A statement that asks Flink whether it would take the work: tables and options are looked at only then."""
        work = self.statements[-1]
        assert isinstance(work, tree.StatementSet)
        return print_statement(tree.Explain(work))

    def texts(self) -> tuple[str, ...]:
        """One text per statement, as they are executed."""
        return tuple(print_statement(statement) for statement in self.statements)


def compile_plan(
    plan: nodes.Plan,
    sources: Mapping[str, Endpoint],
    sinks: Mapping[str, Endpoint],
    *,
    bounded: bool = False,
    partitions: Mapping[str, int] | None = None,
    parallelism: int | None = None,
    transactions: str | None = None,
    heartbeats: bool = False,
) -> Compiled:
    """The statements of a plan whose ends are resolved; the other arguments are those of `Settings`.

    Raises:
        UnsupportedByEngine: FLX-2650 to FLX-2654; with several problems FLX-2654 lists all of them.
    """
    settings = Settings(bounded, partitions or {}, parallelism, transactions, heartbeats)
    return _Compiler(plan, sources, sinks, settings).compile()


def _without_secrets(statement: tree.Statement, hidden: frozenset[str]) -> tree.Statement:
    if not isinstance(statement, tree.CreateTable):
        return statement
    return replace(statement, options=tuple((key, "***" if key in hidden else value) for key, value in statement.options))


class _Compiler:
    """One compilation."""

    def __init__(self, plan: nodes.Plan, sources: Mapping[str, Endpoint], sinks: Mapping[str, Endpoint], settings: Settings) -> None:
        self.plan = plan
        self.sources = sources
        self.sinks = sinks
        self.settings = settings
        self.names = name_operators(plan)
        self.views: dict[nodes.Node, str] = {}
        self.statements: list[tree.Statement] = []
        self.problems: list[UnsupportedByEngine] = []
        ordered = plan.nodes()
        self.readers = Counter(part for node in ordered for part in dict.fromkeys(node.inputs))
        self.readers.update(node.input for node in shown_expectations(plan))  # Once more for those that break a rule.
        self.judged = needs_partitions(plan)
        self.traced = know_their_partition(plan)
        self.rejected = {node.input for node in ordered if isinstance(node, nodes.Rejected)}
        self.taken = {scan.source for scan in plan.scans()}

    def compile(self) -> Compiled:
        if shown_expectations(self.plan):
            self.statements.append(ROW_TEXT)
        for node in self.plan.nodes():
            try:
                self.add(node)
            except UnsupportedByEngine as error:
                error.place = error.place or node.place
                self.problems.append(error)
        properties = self.properties()
        if self.problems:
            raise self.refusal()
        inserts = tuple(tree.Insert(sink.name, self.query_of(sink)) for sink in self.plan.sinks)
        forms = [end.connector.flink for end in (*self.sources.values(), *self.sinks.values())]
        hidden = frozenset(key for form in forms if form is not None for key in form.secrets)
        return Compiled((*self.statements, tree.StatementSet(inserts)), properties, self.warnings(), hidden)

    def add(self, node: nodes.Node) -> None:
        """Declare what the node needs: a table, a view, or nothing."""
        if isinstance(node, nodes.Scan):
            endpoint = self.sources[node.source]
            shown = Shown(partition=node in self.judged, rejects=node in self.rejected, origin=node in self.traced)
            self.statements.append(source_table(node, endpoint, self.settings, shown))
            self.statements.append(tree.CreateView(self.view(node), source_view(node, endpoint, self.settings, shown)))
        elif isinstance(node, nodes.Sink):
            self.statements.append(sink_table(node.name, node, self.sinks[node.name], self.settings))
        else:
            query = self.query(node)  # also where it is not shown: to find what Flink cannot do
            if node.label or self.readers[node] > 1 or isinstance(node, nodes.Late):
                self.statements.append(tree.CreateView(self.view(node), query))

    def view(self, node: nodes.Node) -> str:
        """The node's name as a view; no table has it."""
        if node not in self.views:
            name = self.names[node]
            while name in self.taken or name in (sink.name for sink in self.plan.sinks):
                name = f"{name}/rows"
            self.taken.add(name)
            self.views[node] = name
        return self.views[node]

    def relation(self, node: nodes.Node) -> tree.Relation:
        """The rows of a node: its view, or its query in place."""
        if node.label or self.readers[node] > 1 or isinstance(node, nodes.Scan | nodes.Late):
            return tree.Table(self.view(node))
        return self.query(node)

    def hidden(self, node: nodes.Node, part: nodes.Node) -> tuple[tree.Item, ...]:
        """The columns that travel along for the late test and for rejected rows, where somebody behind the node needs them."""
        seen = (tree.Item(tree.Name(SEEN)),) if node in self.judged else ()
        return (*seen, *self.origin(node, part))

    def origin(self, node: nodes.Node, part: nodes.Node) -> tuple[tree.Item, ...]:
        if node not in self.traced:
            return ()
        return (tree.Item(tree.Name(FROM)) if part in self.traced else tree.Item(NO_PARTITION, FROM),)

    def columns(self, node: nodes.Node, part: nodes.Node) -> tuple[tree.Item, ...]:
        """All columns of a node by name, as they come from an input."""
        return (*(tree.Item(tree.Name(field.name)) for field in node.schema), *self.hidden(node, part))

    def query_of(self, sink: nodes.Sink) -> tree.Query:
        """What is inserted: the visible columns, in the order of the table."""
        return tree.Select(self.relation(sink.input), tuple(tree.Item(tree.Name(name)) for name in sink.schema.names()))

    def query(self, node: nodes.Node) -> tree.Query:
        """The query of one step."""
        if isinstance(node, nodes.Filter):
            return tree.Select(self.relation(node.input), self.columns(node, node.input), (to_term(node.predicate),))
        if isinstance(node, nodes.Project):
            return self.project(node)
        if isinstance(node, nodes.Expect):
            return self.expect(node)
        if isinstance(node, nodes.Union):
            return tree.UnionAll(tuple(tree.Select(self.relation(part), self.columns(node, part)) for part in node.parts))
        if isinstance(node, nodes.WindowAggregate):
            return self.window(node)
        if isinstance(node, nodes.GroupAggregate):
            keys = tuple(tree.Name(key) for key in node.keys)
            items = (*(tree.Item(key) for key in keys), *(tree.Item(measure_term(measure), measure.name) for measure in node.measures))
            return tree.Select(self.relation(node.input), items, (), keys)
        if isinstance(node, nodes.Late):
            return self.late(node)
        if isinstance(node, nodes.Rejected):
            return self.rejected_rows(node)
        raise self.refuse_step(node)

    def project(self, node: nodes.Project) -> tree.Query:
        items = []
        for column in node.columns:
            term = to_term(column.expression)
            items.append(tree.Item(term, None if term == tree.Name(column.name) else column.name))
        computed = {column.name for column in node.columns}
        items += [tree.Item(tree.Name(field.name)) for field in node.schema if field.name not in computed]
        return tree.Select(self.relation(node.input), (*items, *self.hidden(node, node.input)))

    def expect(self, node: nodes.Expect) -> tree.Query:
        if node.on_failure != "reject":
            raise UnsupportedByEngine(
                "FLX-2650",
                f'Flink cannot run "{self.names[node]}" with on_failure "{node.on_failure}"',
                detail="Flink SQL neither counts single rows nor stops a job because of one.",
                hint='Set on_failure="reject".',
            )
        return tree.Select(self.relation(node.input), self.columns(node, node.input), tuple(to_term(rule.expression) for rule in node.rules))

    def window(self, node: nodes.WindowAggregate) -> tree.Query:
        if node.window.kind != "tumble" or node.window.time != "event":
            raise UnsupportedByEngine("FLX-2650", f"{node.window} is not run on Flink by this version", hint="Use a tumble window over event time.")
        time = node.input.time
        assert time is not None, "a window has event time"
        data = self.relation(node.input)
        if node.input in self.judged:
            data = tree.Select(data, None, (tree.Spelled("NOT {0}", (is_late(time, node.window),)),))
        rows = tree.Tumble(data, time.column, node.window.size_ms, node.window.offset_ms)
        keys = tuple(tree.Name(key) for key in node.keys)
        bounds = (tree.Name(WINDOW_START), tree.Name(WINDOW_END))
        measures = tuple(tree.Item(measure_term(measure), measure.name) for measure in node.measures)
        last = tree.Name(WINDOW_TIME)
        items = (*(tree.Item(part) for part in (*keys, *bounds)), *measures, tree.Item(last))
        return tree.Select(rows, items, (), (*keys, *bounds, last))

    def late(self, node: nodes.Late) -> tree.Query:
        window = node.input
        assert isinstance(window, nodes.WindowAggregate), "only windows drop late rows"
        time = window.input.time
        if time is None or window.input not in self.judged:
            raise UnsupportedByEngine(
                "FLX-2650",
                f'Flink cannot show the late rows of "{self.names[window]}"',
                detail='The operator\'s own watermark decides there (lateness = "operator"), and Flink drops such rows unseen.',
                hint='Let the partition decide, lateness="partition", at the first window behind the source.',
            )
        items = tuple(tree.Item(tree.Name(field.name)) for field in node.schema)
        return tree.Select(self.relation(window.input), (*items, *self.origin(node, window.input)), (is_late(time, window.window),))

    def rejected_rows(self, node: nodes.Rejected) -> tree.Query:
        """The rejected rows of a source or of an expectation; their partition may travel on."""
        of = node.input
        if isinstance(of, nodes.Scan):
            rows = rejected_rows(of, self.sources[of.source], self.plan.name, self.names[of], self.settings)
        elif isinstance(of, nodes.Expect):
            partition: tree.Term = tree.Name(FROM) if of.input in self.traced else NO_PARTITION
            rows = broken_rows(of, self.relation(of.input), self.plan.name, self.names[of], partition)
        else:
            raise self.refuse_step(node)
        if node in self.traced:
            assert rows.items is not None, "it has the columns of rejected rows"
            partition = next(item.term for item in rows.items if item.alias == "partition")
            rows = replace(rows, items=(*rows.items, tree.Item(partition, FROM)))
        return rows

    def refuse_step(self, node: nodes.Node) -> UnsupportedByEngine:
        if isinstance(node, nodes.Rejected):
            detail = "There a value that cannot be computed fails the job."
            return UnsupportedByEngine("FLX-2650", f'Flink cannot show the rejected rows of "{self.names[node.input]}"', detail=detail, hint=ADVICE)
        detail = "Python functions do not run on Flink in this version." if isinstance(node, nodes.MapBatches) else ""
        return UnsupportedByEngine("FLX-2650", f'Flink cannot run "{self.names[node]}"', detail=detail, hint=ADVICE)

    def properties(self) -> dict[str, str]:
        """The settings of the session that this plan needs."""
        scans = self.plan.scans()
        follows = [form.follows_partitions for scan in scans if (form := self.sources[scan.source].connector.flink) is not None]
        # Idle time-outs need the interval; a source that emits no watermark per record needs every one of them: 0.
        interval = "200 ms" if any(follows) else "0 ms"
        found = {"pipeline.name": self.plan.name, "table.local-time-zone": "UTC", "pipeline.object-reuse": "true"}
        found["pipeline.auto-watermark-interval"] = interval
        found["pipeline.max-parallelism"] = str(GROUPS)
        if self.settings.parallelism is not None:
            found["parallelism.default"] = str(self.settings.parallelism)
        ages = {node.ttl_ms for node in self.plan.nodes() if isinstance(node, nodes.GroupAggregate)}
        if len(ages) > 1:
            detail = "Flink has one time to live for all group aggregates of a job."
            self.problems.append(UnsupportedByEngine("FLX-2650", "the group aggregates keep keys for different times", detail=detail))
        elif ages and (age := ages.pop()) is not None:
            found["table.exec.state.ttl"] = f"{age} ms"
        if any(sink.row_key and not sink.updating for sink in self.plan.sinks):
            found["table.exec.sink.require-on-conflict"] = "false"
        return found

    def warnings(self) -> tuple[str, ...]:
        found = []
        for scan in self.plan.scans():
            endpoint = self.sources[scan.source]
            if endpoint.format is not None and scan not in self.rejected:
                found.append(f'A record of source "{scan.source}" that cannot be decoded fails the job: no sink takes rejected ones.')
            found += self.warnings_of_time(scan, endpoint)
        for node in self.plan.nodes():
            if isinstance(node, nodes.Expect) and node not in self.rejected:
                found.append(f'Rows that break a rule of "{self.names[node]}" are left out uncounted: no sink takes its rejected rows.')
        found.append("A value that cannot be computed, such as a division by zero, fails the job instead of rejecting its row.")
        return tuple(found)

    def warnings_of_time(self, scan: nodes.Scan, endpoint: Endpoint) -> list[str]:
        """What becomes of rows whose time cannot count."""
        if scan.event_time is None or scan.strategy is None or scan in self.rejected:
            return []
        found = []
        form = endpoint.connector.flink
        fate = "is left out uncounted" if form is not None and form.follows_partitions else "fails the job"
        found.append(f'A row of source "{scan.source}" without event time {fate}.')
        if scan.strategy.max_future_skew_ms is not None:
            found.append(f'Rows of source "{scan.source}" that are too far ahead of the clock are left out uncounted.')
        return found

    def refusal(self) -> UnsupportedByEngine:
        if len(self.problems) == 1:
            return self.problems[0]
        listed = "\n".join(f"{error.code} {error.fact}. {error.detail} {error.hint}".rstrip() for error in self.problems)
        fact = f"Flink cannot run this plan: {len(self.problems)} problems"
        return UnsupportedByEngine("FLX-2654", fact, detail=listed, place=self.problems[0].place)
