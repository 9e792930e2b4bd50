"""Counters and states as Prometheus reads them, and the health of the process, over HTTP."""
