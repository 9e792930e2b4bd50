"""What operators write: the settings table, TOML, URL and environment, the userlist, and the diff of a reload."""
