"""PgBouncer's configuration file: its grammar, what each of its settings becomes here, and the same written as TOML."""
