"""Typed expressions of a plan as code that runs on batches: compiled once, to numpy where every part has that form, else to Polars.

    compile_expression(expression, schema).evaluate(batch)   -> (column, failed, detail)
    compile_predicate(expression, schema).evaluate(batch)    -> (keep, failed, detail)
    compile_projection(columns, schema).evaluate(batch)      -> (columns, failed, detail)

A row for which an expression has no value (a division by zero, a text that is no number) never raises: it is marked in
`failed`, and what stands in its place means nothing. What is not evaluated does not fail: the branch of CASE and IF that is
not taken, the right side of AND behind FALSE and of OR behind TRUE.
"""

from __future__ import annotations

from fluxline.engines.embedded.expressions.compile import (
    Compiled,
    CompiledPredicate,
    CompiledProjection,
    Evaluated,
    Judged,
    Projected,
    compile_expression,
    compile_predicate,
    compile_projection,
)

__all__ = [
    "Compiled",
    "CompiledPredicate",
    "CompiledProjection",
    "Evaluated",
    "Judged",
    "Projected",
    "compile_expression",
    "compile_predicate",
    "compile_projection",
]
