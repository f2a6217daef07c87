"""Known causes for which a job fails: which steps can be meant, and what the user can do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fluxline.engines.flink.serves import expressions_of
from fluxline.library import find_function
from fluxline.library.arithmetic import ZERO
from fluxline.library.casts import cast_can_fail
from fluxline.library.function import Signature
from fluxline.plan import nodes
from fluxline.plan.expressions import Call, Cast, Constant, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fluxline.engines.flink.rest import TaskFailure
    from fluxline.plan.expressions import Expression


@dataclass(frozen=True, slots=True)
class Known:
    """A known cause.

    Attributes:
        said: what is found in the class and the message of the innermost cause.
        concerns: whether a step can be meant.
        hint: what to do.
        anywhere: the text is searched in the whole stack.
    """

    said: re.Pattern[str]
    concerns: Callable[[nodes.Node], bool]
    hint: str
    anywhere: bool = False


def explain_failure(failure: TaskFailure, served: Sequence[nodes.Node]) -> tuple[tuple[nodes.Node, ...], str]:
    """Which of the steps that the failed task serves can be meant, and a hint; all of them and no hint where the cause is not known."""
    cause = failure.cause
    said = f"{cause.kind}: {cause.message}"
    for known in KNOWN:
        if known.said.search(failure.stack if known.anywhere else said):
            concerned = tuple(node for node in served if known.concerns(node))
            return concerned or tuple(served), known.hint
    return tuple(served), ""


def _divides(node: nodes.Node) -> bool:
    """Whether it divides what fails by zero, and not by a constant."""

    def fails(part: Expression) -> bool:
        if not isinstance(part, Call) or (function := find_function(part.function)).failure != ZERO or function.fails is None:
            return False
        use = Signature(tuple(argument.type for argument in part.arguments), part.type)
        return function.fails(use) is not None and not isinstance(part.arguments[-1], Constant)

    return any(fails(part) for expression in expressions_of(node) for part in walk(expression))


def _casts(*roots: str) -> Callable[[nodes.Node], bool]:
    """Whether it has a conversion that can fail, to one of these types; to any if none is given."""

    def concerns(node: nodes.Node) -> bool:
        casts = [part for expression in expressions_of(node) for part in walk(expression) if isinstance(part, Cast)]
        return any(part.failing == "error" and cast_can_fail(part.input.type, part.type) and (not roots or part.type.root in roots) for part in casts)

    return concerns


def _is_source(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Scan)


def _is_sink(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Sink)


def _is_end(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Scan | nodes.Sink)


def _all(_node: nodes.Node) -> bool:
    return True


_CAST_HINT = "A value cannot be converted. try_cast(...) gives NULL for such a value; or leave its rows out with a filter before."
_DECODE_HINT = (
    "A record cannot be decoded, and the job does not get past it. Give such records a sink, SOURCE.rejected.sink(...), "
    "or take the record out of the topic."
)
_NUMBERS = ("TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL")
_TIMES = ("DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ")

KNOWN = (
    Known(
        re.compile(r": A record is rejected \(|for partition \S+ at offset \d+"),
        _is_source,
        _DECODE_HINT,
    ),
    Known(
        re.compile(r"^ArithmeticException: (?:/ by zero|Division by zero|Division undefined|BigInteger divide by zero)"),
        _divides,
        "A divisor is 0. Divide by nullif(divisor, 0), which gives NULL, or leave such rows out with a filter before.",
    ),
    Known(re.compile(r"^NumberFormatException"), _casts(*_NUMBERS), _CAST_HINT),
    Known(re.compile(r"^DateTime\w*Exception"), _casts(*_TIMES), _CAST_HINT),
    Known(re.compile(r"^TableException: Cannot parse .* as BOOLEAN"), _casts("BOOLEAN"), _CAST_HINT),
    Known(
        re.compile(r"Column '.*' is NOT NULL, however, a null value is being written"),
        _is_sink,
        'A column that is never NULL got one. Give NULL a value, such as coalesce(col("name"), ""), or declare the column as one that may be NULL.',
    ),
    Known(
        re.compile(r"^(?:NoClassDefFoundError|ClassNotFoundException|NoSuchMethodError|NoSuchFieldError|UnsupportedClassVersionError)"),
        _all,
        "A jar is missing in the folder lib of a process of the cluster, or is of another version. Put it there, and restart the process.",
    ),
    Known(
        re.compile(r"^InvalidTxnTimeoutException|transaction timeout is larger than the maximum"),
        _is_sink,
        "The brokers allow no transaction of that length: lower transaction.timeout.ms in properties_java of the connection, "
        "or raise transaction.max.timeout.ms of the brokers.",
    ),
    Known(
        re.compile(r"^(?:ProducerFencedException|InvalidProducerEpochException|InvalidPidMappingException|InvalidTxnStateException)"),
        _is_sink,
        "The brokers ended a transaction of the job: it was open for longer than transaction.timeout.ms, or another job writes with the same "
        "identity. Look whether the pipeline runs twice; else raise the time-out above the longest time between two checkpoints.",
    ),
    Known(
        re.compile(r"^(?:Sasl|Ssl)AuthenticationException|^\w*AuthorizationException"),
        _is_end,
        "The brokers do not let the cluster in, or do not allow it the topic. Check login and permissions: fluxline check --connect.",
    ),
    Known(
        re.compile(r"^UnknownTopicOrPartitionException|does not host this topic-partition|not present in metadata"),
        _is_end,
        "A topic is not there, or the cluster does not reach its brokers. See fluxline check --connect.",
    ),
    Known(
        re.compile(r"[\w.]*kafka[\w.]*\.(?:Timeout|Disconnect|BrokerNotAvailable|Network)Exception|No resolvable bootstrap"),
        _is_end,
        "The task managers do not reach the Kafka brokers. The addresses that the brokers advertise must be right for the cluster's machines too.",
        anywhere=True,
    ),
    Known(
        re.compile(r"InvalidTimestampException"),
        _is_sink,
        "The clock of a task manager is too far from the brokers'. Set the clocks right; how far they may differ is said by "
        "message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic.",
        anywhere=True,
    ),
    Known(
        re.compile(r"No space left on device"),
        _all,
        "A disk of the cluster is full: that of its checkpoints, or of io.tmp.dirs. Make room; the job goes on from its last checkpoint.",
        anywhere=True,
    ),
    Known(
        re.compile(r"Exceeded checkpoint tolerable failure threshold"),
        _all,
        "Checkpoints cannot be written. Look whether their directory is there for every process of the cluster, may be written and has room; "
        "the log of the job manager says the cause.",
    ),
    Known(
        re.compile(r"NoResourceAvailableException"), _all, "Flink has too few free slots: start a task manager, stop a job, or lower the parallelism."
    ),
    Known(re.compile(r"^OutOfMemoryError"), _all, "A task manager has too little memory for the job: give it more, or raise the parallelism."),
    Known(
        re.compile(r"[Hh]eartbeat of TaskManager|closed by remote task manager|TaskManager .* is no longer reachable"),
        _all,
        "A task manager went away. Look at its log, and whether the machine had enough memory.",
    ),
    # Last, and not where an expression failed: what fails behind a source in its chain is wrapped in these words too.
    Known(re.compile(r"\A(?!.*StreamExec).*Failed to \w+ consumer record", re.DOTALL), _is_source, _DECODE_HINT, anywhere=True),
)
