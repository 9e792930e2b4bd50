"""Patterns against names that strangers choose."""

from __future__ import annotations

import re
import threading

import pytest

from trunkline.config.pattern_search import PatternTooSlow, search


def test_a_search_is_pythons() -> None:
    assert search(re.compile("b+"), "abbc") is not None
    assert search(re.compile("^b"), "abbc") is None


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"^(a|aa)*$", r"^(a|a?)+$", r"a*a*a*a*a*a*a*a*b"])
def test_a_search_that_does_not_end_is_an_error_and_no_answer(pattern: str) -> None:
    name = "a" * 62 + "!"
    for _ in range(2):
        with pytest.raises(PatternTooSlow) as refused:
            search(re.compile(pattern), name)
        assert refused.value.sqlstate == "28000"
    assert search(re.compile("!$"), name) is not None, "the next one has all its time"


def test_off_the_main_thread_nobody_is_interrupted() -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(search(re.compile("a"), "a")))
    thread.start()
    thread.join()
    assert found[0] is not None
