"""The table of connectors: what is there, what is known to come, and what nobody knows."""

from __future__ import annotations

import pytest

from fluxline.connectors import CONNECTORS, LATER, load_connector
from fluxline.errors import NameNotFound, Place, UnsupportedByEngine
from fluxline.options import describe_options

PLACE = Place("fluxline.toml", 3)


@pytest.mark.parametrize("name", CONNECTORS)
def test_each_is_described(name: str) -> None:
    connector = load_connector(name)
    assert connector.doc.endswith(".")
    for info in describe_options(connector.options):
        assert info.description.endswith("."), info.name
        assert info.default is not None or not info.required


@pytest.mark.parametrize("name", LATER)
def test_what_is_known_to_come_is_refused_by_name(name: str) -> None:
    assert name not in CONNECTORS
    with pytest.raises(UnsupportedByEngine) as caught:
        load_connector(name, PLACE)
    assert caught.value.code == "FLX-2190"
    assert caught.value.fact == f'connector "{name}" is not part of this version'
    assert caught.value.detail == LATER[name]
    assert caught.value.place == PLACE


def test_what_nobody_knows_gets_the_nearest_name() -> None:
    with pytest.raises(NameNotFound) as caught:
        load_connector("filesytem", PLACE)
    assert caught.value.code == "FLX-1120"
    assert caught.value.hint == 'Did you mean "filesystem"?'
    assert caught.value.place == PLACE


def test_guarantees_that_the_planner_relies_on() -> None:
    assert load_connector("filesystem").appends_guarantee == "exactly_once"
    assert not load_connector("filesystem").upserts
    assert load_connector("print").appends_guarantee == "at_least_once"
    assert load_connector("print").upserts
    assert load_connector("blackhole").appends_guarantee == "at_most_once"
    assert load_connector("blackhole").upserts
    assert [name for name in CONNECTORS if load_connector(name).takes_format] == ["filesystem", "kafka"]
