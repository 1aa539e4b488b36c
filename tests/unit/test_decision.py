"""What decisions are made of: ids that follow from their parts, and states that differ in some fields."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from services.plans.episode_state import EpisodeState
from shared.decision import derive_id, join_parts

NAMESPACE = UUID("6f1d3f6e-55c5-5b0c-9a55-2f6c0f0f7a11")
"""Never another: every id ever published follows from it."""


@given(st.lists(st.text(), max_size=5))
def test_a_derived_id_is_a_uuid_of_version_5(parts: list[str]) -> None:
    encodable = [part.encode("utf-8", "replace").decode() for part in parts]
    assert derive_id(*encodable) == str(uuid5(NAMESPACE, join_parts(*encodable)))


def test_a_part_that_contains_a_separator_does_not_make_two_commands_one() -> None:
    assert derive_id("command", "a/b", "c") != derive_id("command", "a", "b/c")
    assert derive_id("a,1:b") != derive_id("a", "b")
    assert derive_id("a", "") != derive_id("a")


SEPARATORS = st.lists(st.text(alphabet="a1:,/|~\n", max_size=4), max_size=4)


@given(SEPARATORS, SEPARATORS)
def test_parts_are_joined_injectively(some: list[str], others: list[str]) -> None:
    assert (join_parts(*some) == join_parts(*others)) == (some == others)


@given(st.fixed_dictionaries({}, optional={"aftercare_plan_id": st.integers(), "void": st.none()}))
def test_a_changed_state_is_what_pydantic_would_copy(changes: dict[str, int | None]) -> None:
    before = EpisodeState(team={"clinician": "a"}, aftercare_plan_id="2")
    after, copied = before.replace(**changes), before.replace(**changes)
    assert after == copied
    assert vars(after) == vars(copied)
    assert after.model_fields_set == copied.model_fields_set
    assert after.__pydantic_extra__ == copied.__pydantic_extra__
    assert before == EpisodeState(team={"clinician": "a"}, aftercare_plan_id="2")
    assert before.model_fields_set == {"team", "aftercare_plan_id"}
