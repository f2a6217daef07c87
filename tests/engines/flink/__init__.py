"""The Flink engine: the compiled SQL, the clients of the REST interfaces, and a live cluster."""
