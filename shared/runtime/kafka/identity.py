"""Identity: checks that this store has worked with this Kafka and this consumer group before.

A store keeps an id of its own and the id of its cluster. Each commit of offsets carries the store's id, as the metadata
that Kafka keeps with a committed offset. The check therefore refuses a second environment on one Kafka, a lost store
and a store of another environment, whether or not any of them has published anything. It writes nothing to a topic.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple
from uuid import uuid4

from aiokafka.errors import GroupCoordinatorNotAvailableError

from shared.errors import IdentityMismatch
from shared.runtime.connections import KafkaConnection
from shared.runtime.core.store import Store
from shared.runtime.kafka.clients import NamedAdmin
from shared.runtime.kafka.topic_ids import identity_of
from shared.runtime.kafka.topics import admin_client

KEY: Final = "identity"
"""Where the store keeps its own id and the cluster's."""


class Kept(NamedTuple):
    """What a store knows of itself; empty texts in a store that has not worked with any Kafka yet."""

    store_id: str = ""
    cluster_id: str = ""


class Seen(NamedTuple):
    """What Kafka says: which cluster it is, and which stores committed the offsets of the service's group.

    An offset that a tool has set carries no id, and stands as an empty text.
    """

    cluster_id: str
    committed_by: Collection[str] = ()


def check(kept: Kept, seen: Seen) -> None:
    """Raises `IdentityMismatch` unless the store, the cluster and the group belong together."""
    if not kept.store_id:
        if seen.committed_by:
            raise IdentityMismatch(
                "store-lost",
                "The store is new, but its consumer group has offsets that another store committed.",
                hint="Restore or rebuild the store. Two environments can't share topics. See the runbook: identity.",
            )
        return
    if kept.cluster_id != seen.cluster_id:
        raise IdentityMismatch(
            "cluster-differs",
            f"This store belongs to the Kafka cluster {kept.cluster_id}; this one is {seen.cluster_id}.",
            hint="Connect to the correct cluster, or adopt this one. See the runbook: identity.",
        )
    others = set(seen.committed_by) - {kept.store_id, ""}
    if others:
        raise IdentityMismatch(
            "group-of-another-store",
            "Another store has committed offsets in this service's consumer group: two environments share it.",
            hint="Stop one of them; each needs topics of its own. See the runbook: identity.",
        )


async def establish(kafka: KafkaConnection, group: str, store: Store) -> str:
    """Check a store against Kafka, and give a new one its identity. Returns the store's id.

    Raises `IdentityMismatch`, and `Unavailable` while a dependency is away.
    """
    seen = await look(kafka, group)
    check(await kept_by(store), seen)
    kept = await store.metadata_once(KEY, {"store_id": uuid4().hex, "cluster_id": seen.cluster_id})
    return str(kept["store_id"])


async def verify(kafka: KafkaConnection, group: str, store: Store) -> None:
    """The same for a running service, which has an identity. Raises as `establish` does."""
    check(await kept_by(store), await look(kafka, group))


async def adopt(kafka: KafkaConnection, store: Store) -> str:
    """Have the store belong to this cluster from now on, as a new store. Returns its new id.

    For an operator who has moved or rebuilt it; the caller commits the group's offsets with the new id.
    """
    store_id = uuid4().hex
    async with admin_client(kafka) as admin:
        cluster_id = (await identity_of(admin, ())).cluster_id
    await store.set_metadata(KEY, {"store_id": store_id, "cluster_id": cluster_id})
    return store_id


async def kept_by(store: Store) -> Kept:
    """What the store knows of itself."""
    found = await store.metadata(KEY)
    return Kept(found.get("store_id", ""), found.get("cluster_id", ""))


async def look(kafka: KafkaConnection, group: str) -> Seen:
    """Ask Kafka which cluster it is and who has committed in the group. Raises `Unavailable`."""
    async with admin_client(kafka) as admin:
        cluster_id = (await identity_of(admin, ())).cluster_id
        offsets = await _committed(admin, group)
    return Seen(cluster_id, {committed.metadata for committed in offsets.values()})


async def _committed(admin: NamedAdmin, group: str) -> Mapping[Any, Any]:
    try:
        return await admin.list_consumer_group_offsets(group)
    except GroupCoordinatorNotAvailableError:
        return {}  # the cluster has not had a group yet
