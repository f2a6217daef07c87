"""The connector `kafka`: topics of Apache Kafka, read and written with librdkafka, which loads when a topic is opened."""

from fluxline.connectors.base import Connector
from fluxline.connectors.kafka.flink import FLINK
from fluxline.connectors.kafka.metadata import METADATA
from fluxline.connectors.kafka.options import KafkaOptions
from fluxline.connectors.kafka.probe import probe
from fluxline.connectors.kafka.sink import KafkaSink
from fluxline.connectors.kafka.source import KafkaSource
from fluxline.connectors.kafka.survival import survival

CONNECTOR = Connector(
    name="kafka",
    doc="Topics of Apache Kafka: read by partition and offset, appended to with acknowledged delivery.",
    options=KafkaOptions,
    source=KafkaSource,
    sink=KafkaSink,
    takes_format=True,
    upserts=True,
    flink=FLINK,
    metadata=METADATA,
    probe=probe,
    survival=survival,
)
