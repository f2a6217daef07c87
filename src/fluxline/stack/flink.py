"""Apache Flink 2.3: a session cluster of one job manager and some task managers, and the SQL Gateway with the Kafka connector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fluxline.clock import new_identity
from fluxline.stack.ports import LOOPBACK
from fluxline.stack.server import Place, Server, ask_json, numbered

if TYPE_CHECKING:
    from collections.abc import Mapping

STANDARD = {"flink": 8081, "flink_gateway": 8083}
SLOTS = 4
FORMATS = Path(__file__).parents[1] / "engines" / "flink" / "jars" / "fluxline-formats.jar"  # Strict JSON, which compiled pipelines read.

_OPENED = ("lang", "net", "io", "nio", "lang.reflect", "text", "time", "util", "util.concurrent", "util.concurrent.atomic", "util.concurrent.locks")
_JAVA = (
    "-XX:+UseSerialGC",
    *(f"--add-opens=java.base/java.{name}=ALL-UNNAMED" for name in _OPENED),
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
)
_FAST_START = "-XX:TieredStopAtLevel=1"  # For those that work on no record: the second compiler only costs them.
_LOG4J = """rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = Console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
"""


def ports(count: int) -> dict[str, tuple[str, ...]]:
    """The servers with so many task managers, and the names of each one's ports."""
    found: dict[str, tuple[str, ...]] = {"jobmanager": ("flink", "flink_rpc", "flink_blob", "flink_query", "flink_metrics")}
    for number in range(1, count + 1):
        names = ("flink_task_data", "flink_task_rpc", "flink_task_query", "flink_task_metrics")
        found[numbered("taskmanager", number)] = tuple(numbered(name, number) for name in names)
    return {**found, "gateway": ("flink_gateway",)}


def config(place: Place, *, metrics: bool) -> dict[str, Any]:
    """What Flink reads as its configuration."""
    port = place.ports
    here = {"address": LOOPBACK, "bind-address": LOOPBACK}
    written: dict[str, Any] = {
        "jobmanager": {"bind-host": LOOPBACK, "rpc": {"address": LOOPBACK, "port": port["flink_rpc"]}},
        "blob.server.port": str(port["flink_blob"]),
        "rest": {**here, "port": port["flink"]},  # No rest.bind-port: the gateway would take it over, and with it the job manager's port.
        "sql-gateway.endpoint.rest": {**here, "port": port["flink_gateway"]},
        "taskmanager": {
            "host": LOOPBACK,
            "bind-host": LOOPBACK,
            "numberOfTaskSlots": SLOTS,
            "cpu.cores": float(SLOTS),
        },
        # The scripts of the distribution compute these; a task manager that is started without them needs every one.
        "taskmanager.memory": {
            "task.heap.size": "512m",
            "task.off-heap.size": "0m",
            "framework.heap.size": "128m",
            "framework.off-heap.size": "128m",
            "managed.size": "256m",
        },
        "taskmanager.memory.network": {"min": "64m", "max": "64m"},
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead": {"min": "192m", "max": "192m"},
        "cluster.registration.error-delay": "500ms",  # A task manager that is up first would wait ten seconds before it asks again.
        "web.refresh-interval": 200,  # So old an answer about a job may be; by default each start and each end is seen three seconds late.
        "io.tmp.dirs": str(place.directory / "tmp"),
        "state.backend.type": "rocksdb",
        "execution.checkpointing": {
            "interval": "1s",
            "mode": "EXACTLY_ONCE",
            "dir": (place.directory / "checkpoints").as_uri(),
            "savepoint-dir": (place.directory / "savepoints").as_uri(),
            "externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        },
        "heartbeat": {"interval": 1000, "timeout": 5000},
        # Of a lifetime's losses of task managers none counts for ever; a job that fails by itself is given up within a minute.
        "restart-strategy": {
            "type": "failure-rate",
            "failure-rate": {"max-failures-per-interval": 20, "failure-rate-interval": "5min", "delay": "1s"},
        },
    }
    if metrics:
        written["metrics.reporter.prom"] = {"factory.class": "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"}
    return written


def prepare(place: Place, count: int, home: Path, *, metrics: bool) -> list[Server]:
    """Write the configuration and say what to start, in this order."""
    for name in ("conf", "tmp", "checkpoints", "savepoints"):
        (place.directory / name).mkdir(parents=True, exist_ok=True)
    options_folder = place.directory / "conf"
    (options_folder / "config.yaml").write_text(json.dumps(config(place, metrics=metrics), indent=2) + "\n", encoding="utf-8")  # JSON is YAML.
    (options_folder / "log4j.properties").write_text(_LOG4J, encoding="utf-8")
    options = (*_JAVA, f"-Dlog4j.configurationFile={(options_folder / 'log4j.properties').as_uri()}")
    classes = f"{home}/lib/*:{place.jars}/*:{FORMATS}"
    with_python = f"{classes}:{next((home / 'opt').glob('flink-python-*.jar'))}"
    variables = {"FLINK_CONF_DIR": str(options_folder), "FLINK_PLUGINS_DIR": str(home / "plugins")}
    port = place.ports

    def server(name: str, memory: tuple[str, ...], path: str, main: tuple[str, ...], listens: tuple[int, ...], answers: Any) -> Server:
        return Server(name, "flink", (str(place.java), *memory, *options, "-cp", path, *main), variables, listens, answers)

    def main(kind: str, own: Mapping[str, object]) -> tuple[str, ...]:
        return (f"org.apache.flink.runtime.{kind}", "--configDir", str(options_folder), *(f"-D{key}={value}" for key, value in own.items()))

    def measured(query: str, reporter: str) -> dict[str, object]:
        own: dict[str, object] = {"metrics.internal.query-service.port": port[query]}
        return {**own, "metrics.reporter.prom.port": port[reporter]} if metrics else own

    def task_manager(number: int) -> Server:
        data_name, rpc_name, query, reporter = ports(count)[numbered("taskmanager", number)]
        data, rpc = port[data_name], port[rpc_name]
        identity = f"{numbered('taskmanager', number)}-{new_identity()[:8]}"  # New with each start: the one before may still be listed.
        own = {"taskmanager.resource-id": identity, "taskmanager.data.port": data, "taskmanager.rpc.port": rpc, **measured(query, reporter)}
        memory = ("-Xms640m", "-Xmx640m", "-XX:MaxDirectMemorySize=192m", "-XX:MaxMetaspaceSize=256m")
        runner = main("taskexecutor.TaskManagerRunner", own)
        return server(numbered("taskmanager", number), memory, with_python, runner, (data, rpc), lambda: _knows(place, identity, count))

    return [
        server(
            "jobmanager",
            ("-Xmx512m", _FAST_START),
            classes,
            main("entrypoint.StandaloneSessionClusterEntrypoint", measured("flink_query", "flink_metrics")),
            (port["flink"], port["flink_rpc"]),
            lambda: ask_json(port["flink"], "/overview") is not None,
        ),
        *(task_manager(number) for number in range(1, count + 1)),
        server(
            "gateway",
            ("-Xmx256m", _FAST_START),
            with_python,
            ("org.apache.flink.table.gateway.SqlGateway",),
            (port["flink_gateway"],),
            lambda: ask_json(port["flink_gateway"], "/v1/info") is not None,
        ),
    ]


def _knows(place: Place, identity: str, count: int) -> bool:
    """Whether the job manager knows a task manager, and none that is not ours by its data port."""
    answer = ask_json(place.ports["flink"], "/taskmanagers")
    known = [] if answer is None else answer["taskmanagers"]
    ours = {place.ports[numbered("flink_task_data", number)] for number in range(1, count + 1)}
    return identity in {each["id"] for each in known} and ours.issuperset(each["dataPort"] for each in known)
