"""Plans of several shards as one."""

from __future__ import annotations

import json

from trunkline.execution.spread.explain_forms import FORMS


def test_text_puts_each_plan_below_its_shard() -> None:
    said = [b"Sort", b"  Sort Key: id", b"  ->  Seq Scan on a", b"Planning Time: 0.1 ms"]
    assert FORMS["text"]("merged", {"s0": said, "s1": [b"Result"]}) == [
        b"Several Shards",
        b"  Answer: merged",
        b"  ->  Shard s0",
        b"      ->  Sort",
        b"            Sort Key: id",
        b"            ->  Seq Scan on a",
        b"      Planning Time: 0.1 ms",
        b"  ->  Shard s1",
        b"      ->  Result",
    ]


def test_json_is_one_list() -> None:
    plan = b'[\n  {\n    "Plan": {\n      "Node Type": "Result"\n    }\n  }\n]'
    (made,) = FORMS["json"]("", {"s0": [plan], 's"1': [plan]})
    assert json.loads(made) == [
        {"Shard": "s0", "Plan": {"Node Type": "Result"}},
        {"Shard": 's"1', "Plan": {"Node Type": "Result"}},
    ]


def test_yaml_and_xml_have_the_shard_as_a_property() -> None:
    (yaml,) = FORMS["yaml"]("", {"s0": [b'- Plan: \n    Node Type: "Result"']})
    assert yaml == b'- Shard: "s0"\n  Plan: \n    Node Type: "Result"'
    plan = b"<explain>\n  <Query>\n    <Plan/>\n  </Query>\n</explain>"
    (xml,) = FORMS["xml"]("", {"s0": [plan], "s<1": [plan]})
    assert xml == (
        b"<explain>\n  <Query>\n    <Shard>s0</Shard>\n    <Plan/>\n  </Query>\n"
        b"  <Query>\n    <Shard>s&lt;1</Shard>\n    <Plan/>\n  </Query>\n</explain>"
    )
