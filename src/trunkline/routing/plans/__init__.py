"""Plans, kept by template, and evaluated for each call."""
