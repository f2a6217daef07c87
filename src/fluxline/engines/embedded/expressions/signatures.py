"""The use that an expression makes of a function: its signature again, with the constants among its arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from fluxline.errors import UnsupportedByEngine
from fluxline.library import find_function
from fluxline.library.function import NOT_CONSTANT, ArgumentMismatch
from fluxline.plan.expressions import Constant

if TYPE_CHECKING:
    from collections.abc import Callable

    from fluxline.library.function import Function, Signature
    from fluxline.plan.expressions import Call

Form = TypeVar("Form")


def use_of(call: Call) -> tuple[Function, Signature]:
    """The function that is called, and its signature for these arguments.

    Raises:
        UnsupportedByEngine: FLX-2191, an argument has to be a constant here.
    """
    function = find_function(call.function)
    types = tuple(argument.type for argument in call.arguments)
    constants = tuple(argument.value if isinstance(argument, Constant) else NOT_CONSTANT for argument in call.arguments)
    use = form_of(call, lambda: function.infer(types, constants))
    assert use.result.with_nullable(True) == call.type.with_nullable(True), f"{call.function} gives {use.result}, the plan says {call.type}"
    return function, use


def form_of(call: Call, make: Callable[[], Form]) -> Form:
    """What a factory of the dictionary makes; what it refuses is refused by name.

    Raises:
        UnsupportedByEngine: FLX-2191, the embedded engine does not run this use of the function.
    """
    try:
        return make()
    except ArgumentMismatch as mismatch:
        raise UnsupportedByEngine("FLX-2191", f"the embedded engine does not run this use of {call.function}", detail=str(mismatch)) from None
