"""Clients: login, the compiled session driver that relays to a leased server, and the timers."""
