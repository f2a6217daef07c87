"""Apache Flink 2.3: a session cluster of one job manager and one task manager, and the SQL Gateway with the Kafka connector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fluxline.stack.ports import LOOPBACK
from fluxline.stack.server import Place, Server, ask_json

PORTS = ("flink", "flink_gateway", "flink_rpc", "flink_blob", "flink_task_rpc", "flink_task_data", "flink_query_range", "flink_metrics_range")
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
            "rpc.port": str(port["flink_task_rpc"]),
            "data.port": port["flink_task_data"],
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
        "metrics.internal.query-service.port": f"{port['flink_query_range']}-{port['flink_query_range'] + 1}",
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
        "restart-strategy": {"type": "fixed-delay", "fixed-delay": {"attempts": 20, "delay": "1s"}},
    }
    if metrics:
        first = port["flink_metrics_range"]
        reporter = {"factory.class": "org.apache.flink.metrics.prometheus.PrometheusReporterFactory", "port": f"{first}-{first + 1}"}
        written["metrics.reporter.prom"] = reporter
    return written


def prepare(place: Place, home: Path, *, metrics: bool) -> list[Server]:
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

    task_memory = ("-Xms640m", "-Xmx640m", "-XX:MaxDirectMemorySize=192m", "-XX:MaxMetaspaceSize=256m")
    configured = ("--configDir", str(options_folder))
    return [
        server(
            "jobmanager",
            ("-Xmx512m", _FAST_START),
            classes,
            ("org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint", *configured),
            (port["flink"], port["flink_rpc"]),
            lambda: ask_json(port["flink"], "/overview") is not None,
        ),
        server(
            "taskmanager",
            task_memory,
            with_python,
            ("org.apache.flink.runtime.taskexecutor.TaskManagerRunner", *configured),
            (port["flink_task_data"], port["flink_task_rpc"]),
            lambda: _has_own_task_manager(place),
        ),
        server(
            "gateway",
            ("-Xmx256m", _FAST_START),
            with_python,
            ("org.apache.flink.table.gateway.SqlGateway",),
            (port["flink_gateway"],),
            lambda: ask_json(port["flink_gateway"], "/v1/info") is not None,
        ),
    ]


def _has_own_task_manager(place: Place) -> bool:
    """Whether the job manager knows the task manager, by its data port, and no other one."""
    known = ask_json(place.ports["flink"], "/taskmanagers")
    return known is not None and [each["dataPort"] for each in known["taskmanagers"]] == [place.ports["flink_task_data"]]
