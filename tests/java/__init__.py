"""Tests of the Java of Flink's side; they need a Java and Flink's jars, so they are among those of the servers."""
