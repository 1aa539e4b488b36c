"""The patch for aiokafka's OffsetFetch: an error of the whole response is raised."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3
from aiokafka.structs import OffsetAndMetadata

from shared.kit.aiokafka_patch import patch_offset_fetch, raising_response_errors

LOADING, MOVED = 14, 16
HERE = TopicPartition("care.intake", 3)
KNOWN = [("care.intake", [(3, 17, "", 0)])]


class Coordinator(GroupCoordinator):
    """aiokafka's own, with its wire replaced by a list of answers."""

    def __init__(self, *answers: Any) -> None:  # no client, no tasks
        self.group_id = "attendance"
        self._retry_backoff_ms = 0
        self._answers = list(answers)
        self.coordinator_id = 1
        self.dead = 0
        self._client = SimpleNamespace(send=self._answer)

    async def _answer(self, *_request: Any, **_where: Any) -> Any:
        return self._answers.pop(0)

    async def ensure_coordinator_known(self) -> None:
        self.coordinator_id = 1

    def coordinator_dead(self) -> None:
        self.dead += 1


def answer(topics: Any, code: int = 0) -> Any:
    return OffsetFetchResponse_v3(0, topics, code)


@pytest.fixture(autouse=True)
def mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GroupCoordinator, "_send_req", GroupCoordinator._send_req)
    patch_offset_fetch()


@pytest.mark.parametrize(("code", "dead"), [(LOADING, 0), (MOVED, 1)])
async def test_an_answer_that_is_an_error_is_asked_for_again(code: int, dead: int) -> None:
    coordinator = Coordinator(answer([], code), answer([], code), answer(KNOWN))
    found = await coordinator.fetch_committed_offsets([HERE])
    assert found == {HERE: OffsetAndMetadata(17, "")}
    assert coordinator.dead == 2 * dead


async def test_nothing_committed_is_still_nothing() -> None:
    unknown = answer([("care.intake", [(3, -1, "", 0)])])
    assert await Coordinator(unknown).fetch_committed_offsets([HERE]) == {}


async def test_the_mend_is_made_once() -> None:
    once = GroupCoordinator._send_req
    patch_offset_fetch()
    assert GroupCoordinator._send_req is once


async def test_other_requests_are_none_of_its_business() -> None:
    async def send(_coordinator: Any, _request: Any) -> Any:
        return SimpleNamespace(error_code=LOADING)

    assert (await raising_response_errors(send)(None, object())).error_code == LOADING
    with pytest.raises(KafkaError):
        await raising_response_errors(send)(None, OffsetFetchRequest("attendance", []))


async def test_without_the_mend_the_client_takes_it_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When this fails, aiokafka does it itself, and the mend can go."""

    async def send(coordinator: Coordinator, _request: Any) -> Any:
        return await coordinator._answer()

    monkeypatch.setattr(GroupCoordinator, "_send_req", send)
    assert await Coordinator(answer([], LOADING)).fetch_committed_offsets([HERE]) == {}
