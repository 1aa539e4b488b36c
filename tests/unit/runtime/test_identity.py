"""A store, a cluster and a consumer group either belong together or are refused: every combination, as a table."""

from __future__ import annotations

import pytest

from shared.errors import IdentityMismatch
from shared.runtime.kafka.identity import Kept, Seen, check

NEW = Kept()
OURS = Kept("ours", "kafka-1")


@pytest.mark.parametrize(
    ("kept", "seen", "code"),
    [
        (NEW, Seen("kafka-1"), None),
        (NEW, Seen("kafka-1", {"ours"}), "store-lost"),
        (NEW, Seen("kafka-1", {""}), "store-lost"),
        (OURS, Seen("kafka-1"), None),
        (OURS, Seen("kafka-1", {"ours"}), None),
        (OURS, Seen("kafka-1", {"ours", ""}), None),
        (OURS, Seen("kafka-1", {""}), None),
        (OURS, Seen("kafka-1", {"theirs"}), "group-of-another-store"),
        (OURS, Seen("kafka-1", {"ours", "theirs"}), "group-of-another-store"),
        (OURS, Seen("kafka-2"), "cluster-differs"),
        (OURS, Seen("kafka-2", {"theirs"}), "cluster-differs"),
    ],
    ids=[
        "the first start",
        "an empty store and a group that a store has used",
        "an empty store and a group that a tool has set",
        "a store whose group has no offsets any more",
        "the store that committed",
        "a tool has set some of the offsets",
        "a tool has set all of the offsets",
        "a group of another store",
        "two stores in one group",
        "another cluster",
        "another cluster with its own environment",
    ],
)
def test_what_belongs_together(kept: Kept, seen: Seen, code: str | None) -> None:
    if code is None:
        check(kept, seen)
        return
    with pytest.raises(IdentityMismatch) as refused:
        check(kept, seen)
    assert refused.value.code == code
    assert "runbook" in (refused.value.hint or "")
