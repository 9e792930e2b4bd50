"""Which types are compared exactly."""

from __future__ import annotations

from trunkline.execution.merge.exact_types import BYTES, INT8, SIGNED, kind_of

TEXT, JSONB, INT4_ARRAY = 25, 3802, 1007


def test_texts_only_by_their_bytes_and_others_not_at_all() -> None:
    assert kind_of(INT8, bytewise=False) == SIGNED
    assert kind_of(TEXT, bytewise=True) == BYTES
    assert kind_of(TEXT, bytewise=False) is None
    assert kind_of(JSONB, bytewise=True) is kind_of(INT4_ARRAY, bytewise=False) is None
