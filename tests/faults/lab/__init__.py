"""The lab: a whole installation under load and in bad weather, and whether anybody in it was told anything wrong.

    python -m tests.faults.lab --replies 1000000 --faults 5000 --seconds 600 --seed 1
    python -m tests.faults.lab --target pgbouncer ...        the same against Debian's PgBouncer, as a control

PostgreSQL, a proxy before it, nonce clients, and fault proxies before some clients and servers. Bottom up:

- ``options``: how long, how much, which seed
- ``targets``: the proxies that can be examined, with one set of verbs
- ``stage``: everything that runs, started and stopped as one; who works where
- ``crew``: the processes of nonce clients
- ``kinds``, ``weather``: the faults, and when they come
- ``inspection``: what must be true when all is over
- ``report``: the table of a run, and RESULTS.md
- ``failover``: a part of its own, ``python -m tests.faults.lab.failover``: primaries that are killed, and what then
"""
