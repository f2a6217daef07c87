"""`fluxline stack`: Kafka, Flink and Cassandra on this machine."""

from __future__ import annotations

import re
import signal
import sys
from typing import TYPE_CHECKING

import click

from fluxline.cli.arguments import output_option, project_option

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import FrameType
    from typing import Any, TypeVar

    from fluxline.control.stack import ServerStatus

    Decorated = TypeVar("Decorated", bound=Callable[..., Any])


@click.group("stack")
def stack() -> None:
    """Run Apache Kafka, Flink and Cassandra on this machine."""


def _checked_name(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", value):
        raise click.BadParameter("a name has only letters, digits, _ and -.")
    return value


def _name_option(command: Decorated) -> Decorated:
    return click.option("--name", default="default", show_default=True, callback=_checked_name, help="Which stack: several can run side by side.")(
        command
    )


@stack.command("up")
@click.argument("parts", nargs=-1, metavar="[kafka|flink|cassandra]...")
@click.option("--standard-ports", is_flag=True, help="Take the known ports: 9092, 8081, 8083 (SQL Gateway) and 9042.")
@click.option("--metrics", is_flag=True, help="Let Flink answer Prometheus. Its reporter listens on all addresses of the machine.")
@click.option("--fresh", is_flag=True, help="Forget the topics and tables of earlier starts of the parts that are started.")
@click.option(
    "--kafka-brokers", type=click.IntRange(1, 9), help="How many brokers; from three on one of them may be lost.  [default: as before, else 1]"
)
@click.option("--taskmanagers", type=click.IntRange(1, 9), help="The same of Flink's task managers.")
@click.option("--cassandra-nodes", type=click.IntRange(1, 9), help="The same of Cassandra's nodes, at 127.0.0.1, 127.0.0.2 and so on.")
@_name_option
@project_option
@output_option
def up(parts: tuple[str, ...], standard_ports: bool, metrics: bool, fresh: bool, name: str, project: str, output: str, **counts: int | None) -> int:  # noqa: FBT001  # click passes them by name
    """Start the parts, by default all, and wait until they serve.

    What is missing is downloaded first, once for all projects. The servers run on until "fluxline stack down".
    """
    from fluxline.cli.screen import say
    from fluxline.control.stack import Start, start_stack

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    asked = (("kafka", counts["kafka_brokers"]), ("flink", counts["taskmanagers"]), ("cassandra", counts["cassandra_nodes"]))
    nodes = {part: count for part, count in asked if count is not None}
    before = signal.signal(signal.SIGTERM, interrupted)  # What was started so far ends too.
    try:
        found = start_stack(
            parts,
            _directory(project, name),
            Start(standard_ports=standard_ports, metrics=metrics, fresh=fresh, nodes=nodes),
            lambda line: say(line, stream=sys.stderr),
        )
    finally:
        signal.signal(signal.SIGTERM, before)
    _show(found, output)
    return 0


@stack.command("down")
@_name_option
@project_option
@output_option
def down(name: str, project: str, output: str) -> int:
    """End all servers of the stack; their data stays for the next start."""
    from fluxline.cli.screen import say, say_json
    from fluxline.control.stack import stop_stack

    ended = stop_stack(_directory(project, name))
    if output == "json":
        say_json({"stack": name, "ended": ended})
    else:
        say(f"ended {', '.join(ended)}" if ended else f'no server of the stack "{name}" runs')
    return 0


@stack.command("kill")
@click.argument("server")
@_name_option
@project_option
@output_option
def kill(server: str, name: str, project: str, output: str) -> int:
    """End a server as a crash would, to see what outlives it.

    SERVER is a name that "fluxline stack status" shows, such as kafka-2, or a part: kafka is all brokers, kafka-1 the first of them.
    """
    from fluxline.cli.screen import say, say_json
    from fluxline.control.stack import kill_servers

    killed = kill_servers(server, _directory(project, name))
    if output == "json":
        say_json({"stack": name, "killed": killed})
    else:
        say(f"killed {', '.join(killed)}")
    return 0


@stack.command("restart")
@click.argument("server")
@_name_option
@project_option
@output_option
def restart(server: str, name: str, project: str, output: str) -> int:
    """Start a server again, at its port and with its data, whether it runs or not.

    SERVER is a name that "fluxline stack status" shows, such as kafka-2, or a part: kafka is all brokers, kafka-1 the first of them.
    """
    from fluxline.cli.screen import say
    from fluxline.control.stack import restart_servers

    _show(restart_servers(server, _directory(project, name), lambda line: say(line, stream=sys.stderr)), output)
    return 0


@stack.command("status")
@_name_option
@project_option
@output_option
def status(name: str, project: str, output: str) -> int:
    """Say which servers run, where, and how much memory they hold; and which of them have a full disk, or ended for it."""
    from fluxline.control.stack import status as look

    _show(look(_directory(project, name)), output)
    return 0


@stack.command("logs")
@click.argument("part")
@click.option("-n", "--lines", "count", type=click.IntRange(1), default=50, show_default=True, help="How many of the last lines.")
@_name_option
@project_option
@output_option
def logs(part: str, count: int, name: str, project: str, output: str) -> int:
    """Show the end of a log.

    PART is kafka, cassandra, flink, or one server of them: jobmanager, taskmanager, gateway, kafka-2.
    """
    from fluxline.cli.screen import painted, printable, say, say_json
    from fluxline.control.stack import logs as read

    found = read(_directory(project, name), part, count)
    if output == "json":
        say_json({"stack": name, "logs": [{"server": each.server, "file": str(each.path), "lines": each.lines} for each in found]})
        return 0
    for each in found:
        if len(found) > 1:
            say(painted(f"{each.server}: {each.path}", "bold", sys.stdout))
        say([printable(line) for line in each.lines])
    return 0


@stack.command("env")
@click.option("--as", "environment_name", default="stack", show_default=True, callback=_checked_name, help="Name of the environment.")
@click.option("--keyspace", default="fluxline", show_default=True, callback=_checked_name, help="Keyspace of Cassandra.")
@_name_option
@project_option
@output_option
def env(environment_name: str, keyspace: str, name: str, project: str, output: str) -> int:
    """Print the environment of the running stack, to be put into fluxline.toml."""
    from fluxline.cli.screen import say, say_json
    from fluxline.control.stack import environment

    text = environment(_directory(project, name), environment_name, keyspace)
    if output == "json":
        say_json({"stack": name, "environment": environment_name, "toml": text})
    else:
        say(text.rstrip("\n"))
    return 0


def _directory(project: str, name: str) -> Path:
    from fluxline.cli.targets import project_start
    from fluxline.control.stack import stack_directory

    return stack_directory(project_start(project), name)


def _show(found: list[ServerStatus], output: str) -> None:
    from dataclasses import asdict

    from fluxline.cli.screen import columns, say, say_json

    if output == "json":
        say_json({"servers": [asdict(each) for each in found]})
        return
    rows = [("server", "state", "address", "process", "memory")]
    for each in found:
        stands, address = ", ".join(filter(None, (each.state, each.trouble))), f"{each.host}:{each.port}" if each.state != "ended" else ""
        rows.append((each.name, stands, address, str(each.pid), f"{each.memory_bytes // 1024**2} MiB"))
    say(columns(rows, indent="") if found else "no server of the stack was started")
