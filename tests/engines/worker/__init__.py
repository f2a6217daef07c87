"""Workers that write what Flink does not."""
