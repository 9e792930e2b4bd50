"""Statements that concern several shards, done: who takes part, what is run there, and how it ends."""
