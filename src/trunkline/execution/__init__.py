"""What a plan says, done: where plans and server connections meet."""
