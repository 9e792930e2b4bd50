"""What a statement may do to the session that runs it."""
