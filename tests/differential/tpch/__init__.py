"""TPC-H: its tables with rows of our own making, small and always the same, and its 22 queries."""
