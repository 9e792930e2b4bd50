"""A client whose statement is too long to be parsed while others wait: it waits alone, and its frames come again.

Plans made so are held for the batch that they are of (`Route.planned`), for the cache of plans need not have room. A
client whose statement has a key that is missing in a directory waits in the same way (execution/missing_keys.py).
"""

from trunkline.execution.router cimport APART
from trunkline.protocol.server_session cimport ServerSession
from trunkline.proxy.client cimport ClientLink
from trunkline.proxy.routed cimport Route
from trunkline.proxy.steps cimport WAIT


cdef int begin_again(Route own) except -1:
    """The frames of the batch are decided for anew: what is not used now is of one that has gone."""
    for one in own.planned:
        one.used = False
    return 0


cdef int wait_for_plan(ClientLink client, Route own) except -1:
    """What is wanted is planned in a thread; then the frames that are here come again."""
    wanted = own.awaited = own.router.wanted
    client.blocked = True
    wanted.begin(own.router.catalog, own.router.sharding, lambda error: on_planned(client, own, wanted, error))
    return WAIT


def on_planned(ClientLink client, Route own, wanted, error):
    """It goes on; unless it has gone on without, because its server was lost, or has left."""
    if own.awaited is not wanted or not client.blocked or client.fd < 0 or client.closing:
        return
    if error is not None:
        client.on_failure(error)
        return
    own.planned = [one for one in [*(own.planned or ()), wanted] if one.used]
    client.blocked = False
    client.granted()


cdef int leave_to_plan(ClientLink client, Route own) except -1:
    """Nobody else waits for the server meanwhile, unless the client is in the middle of something."""
    cdef ServerSession session = client.server.session
    if session.count:
        return client._await_answers()
    client._flush_requests()
    if session.is_free() and not client.sticky:
        client.pool.on_free(client.server)
    return WAIT if client.blocked else wait_for_plan(client, own)


cdef int await_catalog(Route own, int decision) except? -99:
    """By the catalog that there was before DDL nothing is decided (rule 5 of routed.pyx) that could mean something else by the new one."""
    if own.router.reading.two_phases:
        return decision
    if own.router.stale.error is not None:
        return own.router._refuse(own.router.stale.error)
    own.router.wanted = own.router.stale
    return APART
