"""Texts of SQL by their tokens alone: what they say at a glance, the keys of their plans, and their statements."""
