"""Attacks, faults and bad input: what must be survived, row by row of the catalogue of faults."""
