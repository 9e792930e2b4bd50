"""Any Bind is parameters within its bytes or malformed, and a value in C is the value that it is in Python.

Input: choices of the column's type and of the type that was declared, then the body of the Bind.
"""

from __future__ import annotations

from tests.fuzz.reader import Reader
from trunkline.routing.keys.shard_functions import Rule, make_function
from trunkline.routing.keys.sharding import KeyUnknown, NotCoercible
from trunkline.routing.plans.call import Call, parameters_of_bind
from trunkline.routing.plans.evaluation import ReadyPlan
from trunkline.routing.plans.plan import Equals, Parameter, RoutePlan, Verdict
from trunkline.routing.text.fingerprint import Fingerprint

TYPES = ("int2", "int4", "int8", "text", "varchar(5)", "uuid")
OIDS = (0, 20, 21, 23, 25, 701, 705, 1043, 2950, 114)
CODES = {NotCoercible: -1, KeyUnknown: -2}
PLANS = {
    type: ReadyPlan(
        RoutePlan(Verdict.ROUTED, Equals(make_function("hash", Rule((type,), ("a", "b", "c"))), (Parameter(1),))),
        Fingerprint(),
        b"",
    )
    for type in TYPES
}


def check(data: bytes) -> None:
    reader = Reader(data)
    plan, oid = PLANS[reader.pick(TYPES)], reader.pick(OIDS)
    body = reader.rest()
    found = parameters_of_bind(body)
    if found is None:
        return
    at = 0
    for start, size, _ in found:
        assert at + 4 <= start
        at = start + max(size, 0)
        assert at <= len(body) - 2
    check_value(plan, Call(bind=body[body.index(b"\0", body.index(b"\0") + 1) + 1 :], oids=(oid,)))


def check_value(plan: ReadyPlan, call: Call) -> None:
    try:
        expected = plan.mask_of(call)
    except (NotCoercible, KeyUnknown) as error:
        expected = CODES[type(error)]
    assert plan.code_of(call) == expected
