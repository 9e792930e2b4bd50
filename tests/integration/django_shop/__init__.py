"""A small Django application on sharded tables, in a process of its own: settings of Django are those of a process."""
