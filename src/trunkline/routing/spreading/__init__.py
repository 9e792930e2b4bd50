"""What is done with a statement that concerns several shards: programs, made of texts and a catalog. Pure."""
