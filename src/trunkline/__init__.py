"""Trunkline: a PostgreSQL connection pooler, replica balancer and shard router behind one address."""

__version__ = "0.1.0"
