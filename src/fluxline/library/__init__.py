"""The built-in functions: every word with its meaning, its embedded forms and its Flink spelling; one file per family.

`FUNCTIONS` and `AGGREGATES` are the dictionary: by SQL name, operators by their sign.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from fluxline.errors import NameNotFound, did_you_mean
from fluxline.library import aggregates, arithmetic, comparison, conditional, logic, mathematics, temporal, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fluxline.errors import Place
    from fluxline.library.function import Aggregate, Function

Word = TypeVar("Word")

FUNCTIONS: dict[str, Function] = {
    function.name: function for family in (comparison, logic, arithmetic, mathematics, text, conditional, temporal) for function in family.FUNCTIONS
}
AGGREGATES: dict[str, Aggregate] = {aggregate.name: aggregate for aggregate in aggregates.AGGREGATES}


def find_function(name: str, place: Place | None = None) -> Function:
    """The scalar function or operator of this name, in any case.

    Raises:
        NameNotFound: FLX-2106, with the nearest spelling.
    """
    return _find("function", name, FUNCTIONS, place)


def find_aggregate(name: str, place: Place | None = None) -> Aggregate:
    """The aggregate of this name, in any case.

    Raises:
        NameNotFound: FLX-2106, with the nearest spelling.
    """
    return _find("aggregate", name, AGGREGATES, place)


def _find(kind: str, name: str, words: Mapping[str, Word], place: Place | None) -> Word:
    found = words.get(name.upper())
    if found is None:
        raise NameNotFound("FLX-2106", f'no {kind} "{name}"', hint=did_you_mean(name.upper(), words), place=place)
    return found
