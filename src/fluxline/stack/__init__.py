"""Real servers for a developer's machine: Apache Kafka, Flink and Cassandra, fetched, configured, started, watched and stopped.

`up.py` starts and stops, `cache.py` has what is fetched, `kafka.py`, `flink.py` and `cassandra.py` know one server each.
"""
