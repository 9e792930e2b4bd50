"""Scripts of real clients, run unchanged at PostgreSQL and through Trunkline; ``python -m tests.compat`` runs them."""
