"""Tests with real PostgreSQL servers and a real Trunkline process."""
