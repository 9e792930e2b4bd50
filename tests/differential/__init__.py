"""Differential tests: message scripts whose transcripts must be the same from PostgreSQL and through Trunkline."""
