"""The Flink engine: a plan becomes Flink SQL."""
