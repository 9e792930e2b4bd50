"""A small Django application: customers, orders and their lines, as an application under test would have them."""
