"""What of a table would not outlive the loss of a node: the replicas of its keyspace, and how many of them a write waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.connectors.base import Survival
from fluxline.connectors.cassandra.options import CassandraOptions
from fluxline.connectors.cassandra.session import Session
from fluxline.errors import Caution

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fluxline.options import Options

_FIXED = {"ANY": 1, "ONE": 1, "LOCAL_ONE": 1, "TWO": 2, "THREE": 3}


def survival(_name: str, options: Options, directory: Path, _written: bool) -> Survival:  # noqa: FBT001  # the contract of connectors
    """What would not outlive it, of a keyspace that is there or will be made.

    Raises:
        FluxlineError: as opening the sink would.
    """
    assert isinstance(options, CassandraOptions), f"options of another connector: {options}"
    session = Session(options, directory)
    try:
        (node,) = session.execute("SELECT data_center FROM system.local")
        nodes = 1 + len(session.execute("SELECT peer FROM system.peers"))
        kept = session.execute("SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = %s", (options.keyspace,))
    finally:
        session.close()
    replicas = replicas_by_center(kept[0].replication if kept else options.replication, node.data_center)
    asked = max(nodes, sum(replicas.values()))
    return Survival(asked, () if nodes == 1 else cautions(options, replicas, options.local_datacenter or node.data_center, nodes))


def replicas_by_center(replication: Mapping[str, object], center: str) -> dict[str, int]:
    """How many replicas each data center has; a strategy that knows none has them all in ours. Such as `3/1` counts its full ones."""
    numbers = {name: str(value).partition("/")[0] for name, value in replication.items() if name != "class"}
    return {center if name == "replication_factor" else name: int(number) for name, number in numbers.items() if number.isdigit()}


def needed(consistency: str, replicas: Mapping[str, int], center: str) -> tuple[int, int]:
    """Of how many replicas a write waits for how many, where the loss of one counts most."""
    every, ours = sum(replicas.values()), replicas.get(center, 0)
    if consistency == "LOCAL_QUORUM":
        return ours, ours // 2 + 1
    if consistency == "LOCAL_ONE":
        return ours, 1
    if consistency == "EACH_QUORUM":
        return min(((count, count // 2 + 1) for count in replicas.values()), key=lambda each: each[0] - each[1], default=(0, 1))
    if consistency == "QUORUM":
        return every, every // 2 + 1
    return every, every if consistency == "ALL" else _FIXED[consistency]


def cautions(options: CassandraOptions, replicas: Mapping[str, int], center: str, nodes: int) -> tuple[tuple[str, Caution], ...]:
    """What of these replicas on several nodes would not outlive the loss of one."""
    if sum(replicas.values()) == 1:
        caution = Caution(
            "FLX-6101",
            f'keyspace "{options.keyspace}" has one replica on {nodes} nodes of Cassandra',
            detail="While a node is away its rows are neither read nor written; if its disk is lost, so are they.",
            hint='Let it have replication = { class = "SimpleStrategy", replication_factor = "3" } when it is made, ALTER KEYSPACE and repair after.',
        )
        return (("replication", caution),)
    there, waits_for = needed(options.consistency, replicas, center)
    if waits_for < there:
        return ()
    caution = Caution(
        "FLX-6102",
        f'consistency {options.consistency} cannot be met in keyspace "{options.keyspace}" while a node is away',
        detail=f"A write waits for {waits_for} of {there} replicas: rows of the one that is away are sent again until retry_for is over.",
        hint="Keep three replicas, of which a quorum is two; or lower the consistency, and what one node alone has may be lost with it.",
    )
    return (("consistency", caution),)
