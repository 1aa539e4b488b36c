"""Which messages of libraries are logged with their words.

All others are logged without their words, because these may quote what people sent. A message is identified by its
logger and its template, the text before any value is filled in. Of the values, only numbers and the names of types and
topics are logged. Of an exception, only its type and the operating system's reason are logged.
"""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass
from typing import Final

from aiokafka import TopicPartition

DEBUG, INFO, WARNING, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
PLAIN: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
"""A name of a host, topic, group or request; anything else is left out."""


@dataclass(frozen=True, slots=True)
class Known:
    """A message in words, and the level at which it is logged."""

    level: int
    words: str


_CLIENT: Final = "aiokafka.client"
_CLUSTER: Final = "aiokafka.cluster"
_CONNECTION: Final = "aiokafka.conn"
_FETCHER: Final = "aiokafka.consumer.fetcher"
_GROUP: Final = "aiokafka.consumer.group_coordinator"
_SENDER: Final = "aiokafka.producer.sender"
_SERVER: Final = "uvicorn.error"

TEMPLATES: Final[dict[tuple[str, str], int]] = {
    # The service itself says these with the reason (`start.waiting`, `topics.waiting`), and not every second.
    (_CLIENT, 'Unable connect to "%s:%s": %s'): DEBUG,
    (_CLIENT, 'Unable to request metadata from "%s:%s": %s'): DEBUG,
    (_CLIENT, "Unable to request metadata from node with id %s: %r"): DEBUG,
    (_CLIENT, "Unable connect to node with id %s: %s"): DEBUG,
    (_CLIENT, "Unable to update metadata from %s"): DEBUG,
    (_CLUSTER, "Topic %s not found in cluster metadata"): DEBUG,
    (_CLUSTER, "Topic %s is not available during auto-create initialization"): DEBUG,
    (_CLUSTER, "No broker metadata found in MetadataResponse -- ignoring."): DEBUG,
    (_FETCHER, "Failed fetch messages from %s: %s"): DEBUG,
    (_FETCHER, "Failed fetch offsets from %s: %s"): DEBUG,
    # Ordinary life: a new cluster, a replica that comes or goes, a broker that restarts.
    (_GROUP, "Group Coordinator Request failed: %s"): INFO,
    (_GROUP, "Marking the coordinator dead (node %s)for group %s."): INFO,
    (_GROUP, "Heartbeat failed for group %s because it is rebalancing"): INFO,
    (_GROUP, "Heartbeat failed for group %s: generation id is not  current."): INFO,
    (_GROUP, "Error sending %s to node %s [%s] -- marking coordinator dead"): INFO,
    (_GROUP, "Heartbeat send request failed: %s. Will retry."): INFO,
    (_GROUP, "LeaveGroup request failed: %s"): INFO,
    (_GROUP, "OffsetFetchRequest -- unknown topic %s"): INFO,
    (_SENDER, "Got error produce response on topic-partition %s, retrying. Error: %s"): INFO,
    (_SENDER, "Got error produce response: %s"): INFO,
    (_SENDER, "Cannot send %r to %s: %r"): INFO,
    (_SENDER, "Could not send %r: %r"): INFO,
    (_SERVER, "Invalid HTTP request received."): INFO,
    # Worth a look.
    (_CLUSTER, "Topic %s is not authorized for this client"): WARNING,
    (_CLUSTER, "Error fetching metadata for topic %s: %s"): WARNING,
    (_CONNECTION, "Unexpected exception in AIOKafkaConnection"): ERROR,
    (_FETCHER, "Not authorized to read from topic %s."): WARNING,
    (_FETCHER, "Unexpected error while fetching data: %s"): WARNING,
    (_FETCHER, "Attempt to fetch offsets for partition %s failed due to: %s"): WARNING,
    (_FETCHER, "Unexpected error in fetcher routine"): ERROR,
    (_GROUP, "Heartbeat session expired - marking coordinator dead"): WARNING,
    (
        _GROUP,
        "Heartbeat failed for group %s: coordinator (node %s) is either not started or not valid",
    ): WARNING,
    (
        _GROUP,
        "Heartbeat failed: local member_id was not recognized; resetting and re-joining group",
    ): WARNING,
    (_GROUP, "Heartbeat failed: %r"): ERROR,
    (_GROUP, "OffsetCommit failed for group %s - %s"): WARNING,
    (
        _GROUP,
        "OffsetCommit failed for group %s on partition %s with offset %s: %s",
    ): WARNING,
    (
        _GROUP,
        "OffsetCommit failed for group %s due to group error (%s), will rejoin",
    ): WARNING,
    (_GROUP, "OffsetCommit failed for unauthorized topics %s"): ERROR,
    (_GROUP, "Attempt to join group failed due to fatal error: %s"): ERROR,
    (_GROUP, "Unexpected error in join group '%s' response: %s"): ERROR,
    (_GROUP, "Unexpected error from SyncGroup: %s"): ERROR,
    (_GROUP, "Unexpected error in coordinator routine"): ERROR,
    (_SENDER, "Unexpected error in sender routine"): ERROR,
    (_SENDER, "Unexpected error during InitProducerIdRequest: %s"): ERROR,
    (_SERVER, "Application startup failed. Exiting."): ERROR,
    (_SERVER, "Application shutdown failed. Exiting."): ERROR,
    (_SERVER, "Cancel %s running task(s), timeout graceful shutdown exceeded"): WARNING,
    (_SERVER, "Exceeded concurrency limit."): WARNING,
    (_SERVER, "Exception in ASGI application\n"): ERROR,
}
"""Of each message that is logged in words: its logger, its template, and at which level it is logged here."""


def known(record: logging.LogRecord) -> Known | None:
    """What to log of a library's message; None when nothing is known of it."""
    template = record.msg if isinstance(record.msg, str) else ""
    level = TEMPLATES.get((record.name, template))
    if level is None:
        return None
    # A single mapping comes as itself (`logging` unwraps it).
    values = record.args if isinstance(record.args, tuple) else (record.args,)
    shown = tuple(map(_shown, values if record.args else ()))
    # One rule for all places: whatever they were, texts stand in them now.
    words = re.sub(r"%[a-z]", "%s", template)
    if words.count("%s") != len(shown):
        return None
    return Known(level, " ".join((words % shown).split()))


def _shown(value: object) -> str:
    match value:
        case bool() | int() | float() | None:
            shown = str(value)
        case type():
            shown = value.__name__
        case TopicPartition(topic, partition):
            shown = f"{topic}/{partition}"
        case OSError() if value.errno:
            shown = f"{type(value).__name__}: {os.strerror(value.errno)}"
        case str() if PLAIN.fullmatch(value):
            shown = value
        case BaseException():
            shown = type(value).__name__
        case _:
            shown = f"({type(value).__name__})"
    return shown
