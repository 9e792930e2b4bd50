"""The console: one file a family of commands."""
