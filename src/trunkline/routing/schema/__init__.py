"""What the databases behind say of themselves: the catalog, and where the shards are not alike."""
