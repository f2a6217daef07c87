"""Each node of the plan, each window and each aggregate is compiled by the engine or refused by name with a reason."""

from __future__ import annotations

import inspect

import pytest

from fluxline.engines.embedded.compile import UNSUPPORTED, compile_node
from fluxline.errors import UnsupportedByEngine
from fluxline.plan import nodes
from fluxline.plan.window import Window
from fluxline.windows import WINDOWS, find_window

KINDS = [kind for kind in vars(nodes).values() if inspect.isclass(kind) and issubclass(kind, nodes.Node) and kind not in (nodes.Node, nodes.Unary)]
# Outputs of other operators and ends of the graph, which have no operator of their own.
WITHOUT_OPERATOR = (nodes.Late, nodes.Rejected, nodes.Sink)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_node_is_compiled_or_refused(kind: type[nodes.Node]) -> None:
    compiled = compile_node.dispatch(kind) is not compile_node.dispatch(nodes.Node)
    refused = kind.__name__ in UNSUPPORTED
    assert (compiled or kind in WITHOUT_OPERATOR) != refused


def test_a_reason_is_given_for_nothing_that_runs() -> None:
    names = {kind.__name__ for kind in KINDS}
    assert set(UNSUPPORTED) <= names


@pytest.mark.parametrize(
    "window",
    [
        Window("tumble", size_ms=1000),
        Window("hop", size_ms=3000, slide_ms=1000),
        Window("cumulate", size_ms=3000, step_ms=1000),
        Window("session", gap_ms=1000),
    ],
    ids=lambda window: window.kind,
)
def test_every_window_runs_or_is_refused_by_name(window: Window) -> None:
    if window.kind in WINDOWS:
        assert find_window(window) is WINDOWS[window.kind]
        return
    with pytest.raises(UnsupportedByEngine, match=window.kind):
        find_window(window)
