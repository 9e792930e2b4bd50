"""From the parse tree of a statement to its plan."""
