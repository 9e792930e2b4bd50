"""Trunkline: a PostgreSQL connection pooler, replica balancer and shard router behind one address."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("trunkline")
except PackageNotFoundError:  # run from a tree that was never installed
    __version__ = "0+unknown"
