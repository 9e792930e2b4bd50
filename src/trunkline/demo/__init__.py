"""The embedded PostgreSQL cluster that ``trunkline demo`` starts."""
