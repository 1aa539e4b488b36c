"""Outlets: the topics of subscribers that may not read every facility, or not everything of one.

An outlet, `care.out.<team>`, has what its team may read of the services' topics: in order, and every envelope and its
data untouched. Beside the envelope stands `ce_outsequence`, which counts 1, 2, 3 … per (source, subject) on this topic;
`ce_sequence` has gaps there, where the team may not read an event.

What a team may read is fixed when its topic is made. A change makes the next one, `care.out.<team>.2`, filled from the
first event that is retained. The one before ends with a record in each of its partitions, which names the next.
"""

from __future__ import annotations

from typing import Final

from .attributes import SEQUENCE_DIGITS

TEAM: Final = "[a-z][a-z0-9-]{1,39}"
"""What a team may be called: a part of the names of its outlets, its user and its consumer groups."""
TEAM_SAID: Final = "2 to 40 of a-z, 0-9 and -, beginning with a letter"
PREFIX: Final = "care.out."
TOPIC_WRITTEN: Final = f"care[.]out[.]{TEAM}([.]([2-9]|[1-9][0-9]+))?"
"""The name of an outlet, as a regular expression: `outlet_topic` writes it."""
OUT_SEQUENCE: Final = "ce_outsequence"
OUT_EARLIER: Final = "ce_outearlier"
"""On a topic that follows another: the numbers of the team's earlier topics that had this event, such as `1,2`."""
EARLIER_WRITTEN: Final = "[1-9][0-9]*(,[1-9][0-9]*)*"
"""What that header is, as a regular expression."""
SOURCE: Final = "care.outlet"
"""The source of the last records; of all others it is the service that published them."""
TOPIC_ENDED: Final = f"{SOURCE}.topic-ended.v1"
"""The type of the last record of a partition. Its data is `{"successor": TOPIC}`, or `{}` where none follows."""
SUCCESSOR: Final = "successor"
ENDED_SUBJECT: Final = "topic"
"""The kind of the subjects of last records. No event is about such a one."""


def outlet_topic(team: str, number: int = 1) -> str:
    """The name of a team's topic: without a number for the first."""
    return f"{PREFIX}{team}" if number == 1 else f"{PREFIX}{team}.{number}"


def written(number: int) -> str:
    """A number of an outlet's own count, as it stands in its header: as a sequence is published."""
    return f"{number:0{SEQUENCE_DIGITS}}"


def is_outlet(topic: str) -> bool:
    """Whether a topic is one of the outlets."""
    return topic.startswith(PREFIX)


def team_of(topic: str) -> str:
    """Whose topic an outlet is."""
    return topic.removeprefix(PREFIX).partition(".")[0]


def number_of(topic: str, team: str) -> int:
    """Which of a team's topics this is; 0 for any other topic."""
    first = outlet_topic(team)
    if topic == first:
        return 1
    number = topic.removeprefix(f"{first}.")
    return int(number) if topic.startswith(f"{first}.") and number.isdecimal() else 0
