"""What runs on Flink in the user's words: vertices and failures of a job, with the operators of the pipeline and their lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxline.clock import SystemClock
from fluxline.engines.flink.failures import explain_failure
from fluxline.engines.flink.rest import ENDED, LAST_WATERMARK
from fluxline.engines.flink.serves import serves
from fluxline.errors import ExternalError, relative_path
from fluxline.limits import TASK_NAME_CHARACTERS_MAX
from fluxline.plan.names import name_operators
from fluxline.planner.rules import apply_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fluxline.engines.flink.rest import Cluster, Job
    from fluxline.errors import Place
    from fluxline.plan.nodes import Node, Plan


@dataclass(frozen=True, slots=True)
class OperatorPlace:
    """One operator of the pipeline, and where the user wrote it."""

    name: str
    place: Place | None

    def __str__(self) -> str:
        return self.name if self.place is None else f"{self.name} ({relative_path(self.place.file)}:{self.place.line})"


@dataclass(frozen=True, slots=True)
class VertexStatus:
    """One vertex of a job: a chain of steps that runs several times side by side. None is what Flink does not tell, or not yet.

    Attributes:
        name: as Flink has it.
        state: such as RUNNING.
        subtasks: how often it runs side by side.
        operators: what it does for the pipeline; empty where nobody knows.
        unknown: the kinds of Flink's operators in it of which nobody knows what they do for the pipeline.
        records_in: from a source or other vertices, so far.
        records_out: to other vertices or sinks, so far.
        watermark_ms: the least of its subtasks; None before the first, and once the input has ended.
        input_ended: whether the input has ended, so that all event time has passed.
        watermark_lag_ms: how far the watermark is behind the clock.
        busy_ms: of each second, by its busiest subtask.
        back_pressured_ms: of each second in which a subtask waits for those behind it, by the one that waits most.
    """

    name: str
    state: str
    subtasks: int
    operators: tuple[OperatorPlace, ...]
    unknown: tuple[str, ...]
    records_in: int | None
    records_out: int | None
    watermark_ms: int | None
    input_ended: bool
    watermark_lag_ms: int | None
    busy_ms: int | None
    back_pressured_ms: int | None


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job failed last.

    Attributes:
        error: fact, detail, hint, and the line of the operator; of several the first one's.
        kind: Flink's class of the innermost cause, without its package.
        message: what the innermost cause says.
        task: the vertex and subtask that failed, as Flink has it; empty where it was none.
        at_ms: when, in the cluster's wall-clock time.
        operators: which can be meant; empty where nobody knows.
    """

    error: ExternalError
    kind: str
    message: str
    task: str
    at_ms: int
    operators: tuple[OperatorPlace, ...]


class JobView:
    """A job of a plan, as its user sees it.

    Args:
        cluster: where it runs.
        plan: as written; None where it is not kept.
        job: as it is now.
    """

    def __init__(self, cluster: Cluster, plan: Plan | None, job: Job) -> None:
        self.cluster = cluster
        self.job = job
        planned = None if plan is None else apply_rules(plan)
        self.names = {} if planned is None else name_operators(planned)
        self.served = {} if planned is None else serves(planned, job.vertices)

    def vertices(self) -> tuple[VertexStatus, ...]:
        """How each vertex stands.

        Raises:
            ConnectionLost: FLX-4502.
        """
        loads = {vertex.id: self.cluster.load(self.job.id, vertex) for vertex in self.job.vertices}
        now_ms = SystemClock().now_ms()
        found = []
        for vertex in self.cluster.job(self.job.id).vertices:  # Flink gathers numbers when it is asked for some: these are as new as the loads.
            load, served = loads[vertex.id], self.served.get(vertex.id)
            ended = load.watermark_ms == LAST_WATERMARK
            watermark_ms = None if ended else load.watermark_ms
            found.append(
                VertexStatus(
                    name=vertex.name,
                    state=vertex.state,
                    subtasks=vertex.parallelism,
                    operators=() if served is None else self._places(served.nodes),
                    unknown=() if served is None else served.unknown,
                    records_in=vertex.read,
                    records_out=vertex.written,
                    watermark_ms=watermark_ms,
                    input_ended=ended,
                    watermark_lag_ms=None if watermark_ms is None else now_ms - watermark_ms,
                    busy_ms=load.busy_ms,
                    back_pressured_ms=load.back_pressured_ms,
                )
            )
        return tuple(found)

    def failure(self) -> JobFailure | None:
        """Why it failed last; None if it did not.

        Raises:
            ConnectionLost: FLX-4502.
        """
        failed = self.cluster.last_failure(self.job.id)
        if failed is None:
            return None
        cause = failed.cause
        # A task has the name of its vertex, then which of its subtasks, and how often it was tried.
        vertices = [vertex for vertex in self.job.vertices if failed.task == vertex.name or failed.task.startswith(f"{vertex.name} (")]
        served = self.served[vertices[0].id].nodes if vertices and vertices[0].id in self.served else ()
        concerned, hint = explain_failure(failed, served)
        operators = self._places(concerned)
        verb = self._verb()
        where = " or ".join(f'"{each.name}"' for each in operators[:3]) + (f", or {len(operators) - 3} more" if len(operators) > 3 else "")
        error = ExternalError(
            "FLX-4505" if cause.kind == "NoResourceAvailableException" else "FLX-4506",
            f'the job "{self.job.name}" {verb} on Flink' + (f", in {where}" if operators else ""),
            detail=self._detail(f"{cause.kind}: {cause.message}" if cause.kind else cause.message, failed.task, self._places(served)),
            hint=hint,
            place=next((each.place for each in operators if each.place is not None), None),
        )
        return JobFailure(error, cause.kind, cause.message, failed.task, failed.at_ms, operators)

    def _verb(self) -> str:
        if self.job.state in ENDED:
            return "ended as FAILED" if self.job.state == "FAILED" else "failed before it ended"
        return "failed and runs again" if all(vertex.state == "RUNNING" for vertex in self.job.vertices) else "fails"

    def _detail(self, said: str, task: str, served: Sequence[OperatorPlace]) -> str:
        sentence = said if said.endswith(".") else f"{said}."
        if not task:
            return sentence
        ran = f", which runs {', '.join(str(each) for each in served)}" if served else ", of which nobody knows what it does for the pipeline"
        return f"{sentence} Flink says so of its task {shortened(task)}{ran}."

    def _places(self, found: Sequence[Node]) -> tuple[OperatorPlace, ...]:
        return tuple(OperatorPlace(self.names[node], node.place) for node in found)


def shortened(name: str) -> str:
    """A name of a vertex or task that fits on a line; chains grow long."""
    return name if len(name) <= TASK_NAME_CHARACTERS_MAX else f"{name[: TASK_NAME_CHARACTERS_MAX - 1]}…"
