"""Workers: they move rows between topics and systems that Flink does not know."""
