"""Which expressions can fail for a row: a conversion that may not work, a division by zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluxline.library import FUNCTIONS
from fluxline.library.casts import cast_can_fail
from fluxline.library.function import Signature
from fluxline.plan.expressions import Call, Cast, Constant, walk

if TYPE_CHECKING:
    from fluxline.plan.expressions import Expression


def can_fail(expression: Expression) -> bool:
    """Whether there is a row for which the expression has no value; such a row is rejected."""
    return any(_part_can_fail(part) for part in walk(expression))


def _part_can_fail(part: Expression) -> bool:
    if isinstance(part, Call):
        function = FUNCTIONS[part.function]
        use = Signature(tuple(argument.type for argument in part.arguments), part.type)
        return function.fails is not None and function.fails(use) is not None and not _constant_divisor(part)
    return isinstance(part, Cast) and part.failing == "error" and cast_can_fail(part.input.type, part.type)


def _constant_divisor(call: Call) -> bool:
    """Whether it is a division by a constant that is not zero."""
    last = call.arguments[-1]
    return call.function in ("/", "%", "TRUEDIV", "FLOORDIV", "FLOORMOD", "MOD") and isinstance(last, Constant) and last.value not in (0, None)
