"""Answers of several shards made one: rows merged in order, equal rows made one, parts of aggregates put together."""
