"""What a statement is, from its text alone: nothing here sees a connection."""
