"""Server connections: opening, logging in, leasing, checking and closing them. It never sees SQL of a client."""
