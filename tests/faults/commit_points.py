"""The failpoints of commits over several shards, in the order in which a commit passes them.

`BEFORE` the decision everything is undone; from `BEHIND` it on everything is committed. `BESIDE` are those that only a
commit passes that meets with trouble.
"""

from __future__ import annotations

BEFORE = ("two_phase_asked", "two_phase_begun", "two_phase_prepared", "two_phase_deciding")
BEHIND = ("two_phase_decided", "two_phase_one_finished", "two_phase_finished")
BESIDE = ("two_phase_undoing", "two_phase_found_out", "recovery_settled")
POINTS = (*BEFORE, *BEHIND, *BESIDE)
