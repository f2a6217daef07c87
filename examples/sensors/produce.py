"""Replay the readings of this example to a topic of Kafka, with kafka-python: python produce.py --help."""

import argparse
import json
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

parser = argparse.ArgumentParser(description="Replay the readings of sensors to the topic sensor_data.")
parser.add_argument("address", nargs="?", default="localhost:9092", help="of a broker (default: %(default)s)")
parser.add_argument("--speed-up", type=float, default=0, help="how many seconds of the readings pass in one (default: 0, as fast as possible)")
parser.add_argument("--first", type=int, metavar="N", help="send only the first N readings")
given = parser.parse_args()

lines = zstd.decompress((Path(__file__).parent / "data" / "readings.ndjson.zst").read_bytes()).splitlines()[: given.first]
try:
    admin = KafkaAdminClient(bootstrap_servers=given.address, bootstrap_timeout_ms=10_000)
except KafkaError as error:
    sys.exit(f"no broker of Kafka at {given.address}: {error}")
with suppress(TopicAlreadyExistsError):  # Then it stays as it is.
    admin.create_topics([NewTopic("sensor_data", num_partitions=3, replication_factor=-1)])  # As many as brokers give topics by themselves.
producer = KafkaProducer(bootstrap_servers=given.address, enable_idempotence=True, linger_ms=20)
failures: list[Exception] = []
began, first = time.monotonic(), None
for line in lines:  # The time of a record is its sending: with that of the reading, the broker would soon delete it as too old.
    reading = json.loads(line)
    at = datetime.fromisoformat(reading["timestamp"]).timestamp()
    first = at if first is None else first
    if given.speed_up:
        time.sleep(max(0, began + (at - first) / given.speed_up - time.monotonic()))
    producer.send("sensor_data", line, key=str(reading["sensor_id"]).encode()).add_errback(failures.append)
producer.close()
sys.exit(f"{len(failures)} readings were not taken: {failures[0]}" if failures else None)
