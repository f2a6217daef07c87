"""All rows of all inputs; the watermark is the least of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.batch import Batch
from fluxline.engines.embedded.operator import Operator

if TYPE_CHECKING:
    from fluxline.engines.embedded.rejects import RejectWriter
    from fluxline.plan.nodes import Union


class UnionOperator(Operator):
    """Every row passes."""

    def __init__(self, name: str, node: Union, rejects: RejectWriter) -> None:
        super().__init__(name, node.schema, rejects, inputs=len(node.parts))
        self._columns = [item.name for item in node.schema]
        self._by_partition = node.time is not None and node.time.strategy.lateness == "partition"

    def process(self, batch: Batch) -> None:
        passed = batch.with_columns({name: batch.columns[name] for name in self._columns})
        if not self._by_partition:  # one source's watermark says nothing of the others'
            passed = Batch(passed.columns, passed.rows, passed.partition, None, passed.kinds)
        self.pass_on(passed)
