"""What the words of the HTTP interfaces mean: one word means one thing, in whichever service and answer it stands.

A field whose class has words of its own for it is described by those. A test names every field that nobody describes.
"""

from __future__ import annotations

from typing import Final

from shared.runtime.http import words_a_to_m, words_n_to_z

WORDS: Final[dict[str, str]] = {**words_a_to_m.WORDS, **words_n_to_z.WORDS}
_ID: Final = "_id"


def words_of(name: str) -> str | None:
    """What a field of this name holds; None for a name that nobody described."""
    if name not in WORDS and name.endswith(_ID):
        return f"The id of the {name.removesuffix(_ID).replace('_', ' ')}."
    return WORDS.get(name)
