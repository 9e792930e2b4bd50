"""Constants of a statement: what has one value for a whole execution, and what type it is compared as.

A literal, a parameter, NULL, true and false, perhaps cast to a type without modifier, and that to one in which it is
equal. `now()` and the like are not: only PostgreSQL knows their values.
"""

from __future__ import annotations

from dataclasses import replace

from trunkline.routing.plans.plan import Constant, Literal, Parameter, Source
from trunkline.routing.sql import Node, only

ANY_FAMILY = "*"  # of a literal, which takes the type of what it is compared with

# Types whose equality agrees with each other's: what is equal under it has one key. Others stand for themselves.
# The integers are alike, but each is a family: of a text that is an int8 and no int4 it matters which it is read as.
_FAMILIES = {"text": "text", "varchar": "text"}
_INTEGERS = frozenset(("int2", "int4", "int8"))
_COMPARABLE = _INTEGERS | frozenset(
    [
        "bool",
        "bpchar",
        "bytea",
        "cidr",
        "date",
        "float4",
        "float8",
        "inet",
        "interval",
        "macaddr",
        "name",
        "numeric",
        "oid",
        "time",
        "timestamp",
        "timestamptz",
        "timetz",
        "uuid",
    ]
)


def family_of(type: str) -> str | None:
    """The family of a type; None for a type whose equality nothing is known of."""
    return _FAMILIES.get(type) or (type if type in _COMPARABLE else None)


def fits(family: str | None, source: Source) -> bool:
    """Whether comparing a value of this family with the constant compares values of the column's own type."""
    if family is None or not source.type:
        return family is not None
    return alike(family_of(source.type.removesuffix("[]")), family)


def alike(one: str | None, other: str | None) -> bool:
    """Whether equal values of two families have one key."""
    return one is not None and (one == other or (one in _INTEGERS and other in _INTEGERS))


def read_as(family: str | None, source: Source, text: bytes) -> Source:
    """A text or parameter that is compared with an integer is read as that, whatever column it is carried to."""
    if family not in _INTEGERS or source.type or isinstance(source, Constant):
        return source
    is_number = isinstance(source, Literal) and text[source.location : source.location + 1] in _NUMBER_BEGINS
    if isinstance(source, Parameter):
        return replace(source, type=family, inferred=True)
    return source if is_number else replace(source, type=family)


_NUMBER_BEGINS = tuple(b"%c" % byte for byte in b"-.0123456789")


def type_name(node: Node) -> str | None:
    """The name of a built-in type as pg_type has it, `[]` behind it for an array; None where a modifier may cut."""
    if node.get("typmods") or node.get("setof") or node.get("pct_type"):
        return None
    names = [part["String"].get("sval", "") for part in node.get("names", ())]
    if len(names) == 2 and names[0] != "pg_catalog":
        return None
    return (names[-1] + ("[]" if node.get("arrayBounds") else "")) if names else None


def constant(name: str, node: Node, text: bytes) -> Source | None:
    """The constant that an expression is, or None."""
    if name == "A_Const":
        return _literal(node, text)
    if name == "ParamRef":
        return Parameter(node["number"]) if node.get("number") else None
    if name == "TypeCast":
        inner = constant(*only(node["arg"]), text)
        type = type_name(node["typeName"])
        if inner is None or type is None:
            return None
        if inner.type:
            return inner if _is_kept(inner.type, type) else None
        return replace(inner, type=type)
    if name == "A_Expr" and "lexpr" not in node and node.get("kind") == "AEXPR_OP":
        return _negated(node, text)
    return None


def _is_kept(type: str, other: str) -> bool:
    """Whether a value of a type is equal to what a cast to another makes of it, if it makes anything."""
    families = [family_of(one.removesuffix("[]")) for one in (type, other)]
    return alike(*families) and type.endswith("[]") == other.endswith("[]")


def _literal(node: Node, text: bytes) -> Source | None:
    if node.get("isnull"):
        return Constant(None)
    if "boolval" in node:
        return Constant("true" if node["boolval"].get("boolval") else "false", "bool")
    if "bsval" in node:
        return None
    location = node.get("location", 0)
    if text[location : location + 1] != b"-":
        return Literal(location)
    follows = text[location + 1 :].lstrip()[:1]  # of `- -5` or `-(5)` the sign is not certain
    return Literal(location, negative=True) if follows.isdigit() or follows == b"." else None


def _negated(node: Node, text: bytes) -> Source | None:
    """`-5::bigint` is minus (5::bigint)."""
    inner = constant(*only(node["rexpr"]), text)
    if node["name"] != [{"String": {"sval": "-"}}] or not isinstance(inner, Literal) or inner.negative:
        return None
    location = node.get("location", 0)
    plain = text[location + 1 : inner.location].strip() == b""
    return replace(inner, location=location, negative=True) if plain else None
