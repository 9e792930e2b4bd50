"""Random schemas and statements, asked of one PostgreSQL and, through Trunkline, of the same rows on several shards."""
