"""One stack for all drills; after each of them every server serves again and every replica has caught up."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fluxline.clock import new_identity
from fluxline.stack import kafka
from fluxline.stack.lifecycle import Start, up
from fluxline.stack.ports import LOOPBACK, draw_ports
from fluxline.stack.running import running_stack
from tests.survival.drill import PLAIN, Drill, Drilled, Setting
from tests.survival.link import Link
from tests.survival.servers import Servers, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fluxline.stack.running import Stack
    from fluxline.stack.server import Place

SEED = 2026
NODES = {"kafka": 3, "flink": 2, "cassandra": 2}
MOMENTS = int(os.environ.get("FLUXLINE_SURVIVAL_MOMENTS", "1"))
READY_MS_MAX = 300_000  # Of one server; a machine that starts many at once is slow.
AGAIN = Start(die_with_parent=True, ready_ms_max=READY_MS_MAX)


def silent(_line: str) -> None:
    """Nobody listens."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each drill at so many seeded moments."""
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(SEED, SEED + MOMENTS))


@pytest.fixture(scope="session")
def link() -> Iterator[Link]:
    """One more way to the brokers."""
    names = [f"{end}-{number}" for number in range(1, NODES["kafka"] + 1) for end in ("client", "broker")]
    ports = draw_ports(tuple(names), new_identity(), {}, {})
    drawn = Link([(ports[f"client-{number}"], ports[f"broker-{number}"]) for number in range(1, NODES["kafka"] + 1)])
    yield drawn
    drawn.close()


@pytest.fixture(scope="session")
def stack(link: Link, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three brokers, two task managers, two nodes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kafka, "properties", partial(with_listener, link, kafka.properties))
        with running_stack(directory=tmp_path_factory.mktemp("stack"), die_with_parent=True, nodes=NODES, ready_ms_max=READY_MS_MAX) as stack:
            yield stack


def with_listener(link: Link, written: Callable[..., str], place: Place, number: int, count: int, quorum: kafka.Quorum) -> str:
    """The configuration of a broker with a listener more, whose clients are told to come to the link."""
    text = written(place, number, count, quorum)
    if number > len(link.ports):
        return text
    client, broker = link.ports[number - 1]
    more = {
        "listeners=": f",LINK://{LOOPBACK}:{broker}",
        "advertised.listeners=": f",LINK://{LOOPBACK}:{client}",
        "listener.security.protocol.map=": ",LINK:PLAINTEXT",
    }
    return "".join(f"{line}{next((end for name, end in more.items() if line.startswith(name)), '')}\n" for line in text.splitlines())


@pytest.fixture
def servers(stack: Stack) -> Iterator[Servers]:
    """The servers, all of them up."""
    found = Servers(stack)
    yield found
    up((), stack.directory, AGAIN, silent)
    until(found.in_sync, 90, "every replica has caught up")
    until(found.nodes_agree, 90, "the nodes of Cassandra agree")


@pytest.fixture
def drilled(servers: Servers, seed: int, tmp_path: Path, request: pytest.FixtureRequest) -> Drilled:
    """Runs a drill, notes it for the report, and checks it."""

    def drill(happens: Callable[[Drill], None], setting: Setting = PLAIN) -> None:
        name = request.function.__name__.removeprefix("test_")
        verdict, recovery = Drill(servers, tmp_path / "drill", f"{name[:24]}_{seed}", seed, setting).run(happens)
        note = {
            "drill": name,
            "seed": seed,
            "records": verdict.records,
            "lost": sum(rows.total() for rows in verdict.lost.values()),
            "doubled": sum(rows.total() for rows in verdict.doubled.values()),
            "output_seconds": round(recovery.output_seconds, 2),
            "pause_seconds": round(recovery.pause_seconds, 2),
            "silence_seconds": round(recovery.silence_seconds, 2),
        }
        if "FLUXLINE_SURVIVAL_NOTES" in os.environ:
            with Path(os.environ["FLUXLINE_SURVIVAL_NOTES"]).open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(note)}\n")
        verdict.require_clean()

    return drill
