"""Slots, and the texts that are made of them."""

from __future__ import annotations

from trunkline.routing.spreading.drawing_slots import INT8, INT8_ARRAY, UUID, Drawing, Slot


def test_slots_are_numbered_behind_the_clients_parameters() -> None:
    drawing = Drawing((b"(", Slot("nextval", "s"), b", ", Slot("uuid7", named=True), b")"), 2)
    assert drawing.text(2) == b"($3, (SELECT $4::pg_catalog.uuid AS uuid7))"
    assert drawing.text(0).startswith(b"($1, ")


def test_a_slot_has_the_type_of_what_is_drawn() -> None:
    slots = (Slot("currval", "s"), Slot("snowflake"), Slot("uuid7"), Slot("nextval", "s", many=True))
    assert [one.type for one in slots] == [INT8, INT8, UUID, INT8_ARRAY]
