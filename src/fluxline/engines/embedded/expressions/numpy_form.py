"""An expression as functions of numpy arrays: for numbers, conditions, dates and timestamps; 1 us per step, for any number of rows.

Each part becomes a function of the batch's columns that gives (values, valid, failed): `valid` is a mask of the rows that are
not NULL, `failed` one of the rows that have no value; None stands for all, and for none. Arrays have the batch's rows, or one
row where a constant stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fluxline.batch import Column, numpy_type
from fluxline.engines.embedded.expressions.constants import constant_array
from fluxline.engines.embedded.expressions.signatures import form_of, use_of
from fluxline.library.casts import conversion
from fluxline.library.comparison import joint
from fluxline.library.conditional import chosen
from fluxline.plan import expressions

if TYPE_CHECKING:
    from fluxline.plan.expressions import Expression

Found: TypeAlias = "tuple[Any, Any, Any]"
Step: TypeAlias = Callable[[Mapping[str, Column]], Found]


class NoNumpyForm(Exception):
    """Some part of the expression runs in Polars only."""


def numpy_form(expression: Expression, failures: list[str]) -> Step:
    """The function that computes the expression.

    Args:
        expression: in normal form.
        failures: gets what rows can fail of.

    Raises:
        NoNumpyForm: a part of it, or a type in it, has no such form.
    """
    if numpy_type(expression.type) is None:
        raise NoNumpyForm
    if isinstance(expression, expressions.Column):
        return _column(expression.name)
    if isinstance(expression, expressions.Constant):
        return _constant(expression)
    if isinstance(expression, expressions.Cast):
        return _cast(expression, failures)
    if isinstance(expression, expressions.Case):
        return _case(expression, failures)
    return _call(expression, failures)


def _column(name: str) -> Step:
    def read(columns: Mapping[str, Column]) -> Found:
        column = columns[name]
        return column.values, column.valid, None

    return read


def _constant(constant: expressions.Constant) -> Step:
    found = (constant_array(constant), np.zeros(1, dtype=np.bool_) if constant.value is None else None, None)
    return lambda _columns: found


def _nothing(_columns: Mapping[str, Column]) -> Found:
    return None, None, None


def either_mask(left: Any, right: Any) -> Any:
    """The mask of rows that one of two masks marks; None where neither does."""
    return right if left is None else left if right is None else left | right


def _cast(cast: expressions.Cast, failures: list[str]) -> Step:
    form = conversion(cast.input.type, cast.type)
    if form.numpy is None or form.fails is not None:
        raise NoNumpyForm
    inner, convert = numpy_form(cast.input, failures), form.numpy

    def run(columns: Mapping[str, Column]) -> Found:
        values, valid, failed = inner(columns)
        return convert(values), valid, failed

    return run


def _call(call: expressions.Call, failures: list[str]) -> Step:
    function, use = use_of(call)
    make = function.numpy
    form = None if make is None else form_of(call, lambda: make(use))
    if form is None:
        raise NoNumpyForm
    # What has to be a constant is in the signature already; its column would only cost time, or have no numpy form.
    steps = [_nothing if position in function.constant else numpy_form(part, failures) for position, part in enumerate(call.arguments)]
    if function.lazy:
        return _lazy(call.function, form, steps)
    if function.nulls == "own":
        return _own(form, steps)
    fails = None if function.fails_numpy is None else function.fails_numpy(use)
    if fails is not None:
        failures.append(function.failure)
        return _failing(form, fails, steps)
    if len(steps) == 2:
        return _binary(form, *steps)
    return _propagating(form, steps)


def _binary(form: Callable[[Any, Any], Any], left: Step, right: Step) -> Step:
    def run(columns: Mapping[str, Column]) -> Found:
        one, one_valid, one_failed = left(columns)
        other, other_valid, other_failed = right(columns)
        return form(one, other), joint(one_valid, other_valid), either_mask(one_failed, other_failed)

    return run


def _propagating(form: Callable[..., Any], steps: list[Step]) -> Step:
    def run(columns: Mapping[str, Column]) -> Found:
        values, valid, failed = _gathered(steps, columns)
        return form(*values), valid, failed

    return run


def _gathered(steps: list[Step], columns: Mapping[str, Column]) -> tuple[list[Any], Any, Any]:
    values, valid, failed = [], None, None
    for step in steps:
        one, one_valid, one_failed = step(columns)
        values.append(one)
        valid = joint(valid, one_valid)
        failed = either_mask(failed, one_failed)
    return values, valid, failed


def _failing(form: Callable[..., Any], fails: Callable[..., Any], steps: list[Step]) -> Step:
    def run(columns: Mapping[str, Column]) -> Found:
        values, valid, failed = _gathered(steps, columns)
        here = fails(*values)
        if valid is not None:
            here = here & valid
        return form(*values), valid, either_mask(failed, here) if here.any() else failed

    return run


def _own(form: Callable[..., tuple[Any, Any]], steps: list[Step]) -> Step:
    def run(columns: Mapping[str, Column]) -> Found:
        pairs, failed = [], None
        for step in steps:
            values, valid, one_failed = step(columns)
            pairs.append((values, valid))
            failed = either_mask(failed, one_failed)
        return (*form(*pairs), failed)

    return run


def _lazy(word: str, form: Callable[..., tuple[Any, Any]], steps: list[Step]) -> Step:
    """AND, OR and IF: an argument fails only the rows that evaluate it."""

    def run(columns: Mapping[str, Column]) -> Found:
        found = [step(columns) for step in steps]
        pairs = [(values, valid) for values, valid, _ in found]
        failed = found[0][2]
        if any(part[2] is not None for part in found[1:]):
            true = is_true(*pairs[0])
            if word == "IF":
                reached: tuple[Any, ...] = (true, ~true)
            elif word == "AND":
                values, valid = pairs[0]
                reached = (values if valid is None else values | ~valid,)  # not FALSE
            else:
                reached = (~true,)
            for (_, _, one_failed), where in zip(found[1:], reached, strict=True):
                failed = either_mask(failed, None if one_failed is None else one_failed & where)
        return (*form(*pairs), failed)

    return run


def is_true(values: Any, valid: Any) -> Any:
    """The mask of rows where a condition is TRUE."""
    return values if valid is None else values & valid


def _case(case: expressions.Case, failures: list[str]) -> Step:
    branches = [(numpy_form(condition, failures), numpy_form(value, failures)) for condition, value in case.branches]
    otherwise = numpy_form(case.otherwise, failures)

    def run(columns: Mapping[str, Column]) -> Found:
        found, failed, reached = [], None, None  # reached: rows that no branch before took; None for all
        for condition, value in branches:
            test, test_valid, test_failed = condition(columns)
            values, valid, value_failed = value(columns)
            true = is_true(test, test_valid)
            taken = true if reached is None else true & reached
            failed = either_mask(failed, _within(test_failed, reached))
            failed = either_mask(failed, _within(value_failed, taken))
            found.append((taken, (values, valid)))
            reached = ~true if reached is None else reached & ~true
        values, valid, value_failed = otherwise(columns)
        failed = either_mask(failed, _within(value_failed, reached))
        for taken, pair in reversed(found):
            values, valid = chosen(taken, pair, (values, valid))
        return values, valid, failed

    return run


def _within(failed: Any, where: Any) -> Any:
    return failed if failed is None or where is None else failed & where
