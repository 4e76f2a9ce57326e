from __future__ import annotations

import io
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from lineage.records.images import encode
from lineage.records.near_duplicates import difference_hash, near


def apart(one: int, other: int) -> int:
    return (one ^ other).bit_count()


def picture(seed: int) -> Image.Image:
    """Soft shapes, as photographs have them."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6), dtype=np.uint8)
    return Image.fromarray(coarse).resize((64, 64), Image.Resampling.BICUBIC)


def stored(image: Image.Image) -> bytes:
    return encode(np.asarray(image, dtype=np.uint8)[np.newaxis])


def test_a_picture_that_was_saved_again_or_made_brighter_is_near_and_another_is_not() -> None:
    for seed in range(20):
        image = picture(seed)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=60)
        again = Image.open(buffer).convert("L")
        brighter = ImageEnhance.Brightness(image).enhance(0.9)
        assert apart(difference_hash(stored(image)), difference_hash(stored(again))) <= 4
        assert apart(difference_hash(stored(image)), difference_hash(stored(brighter))) <= 4
        assert apart(difference_hash(stored(image)), difference_hash(stored(picture(seed + 100)))) > 8


@given(
    st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=30),
    st.lists(st.tuples(st.integers(0, 29), st.sets(st.integers(0, 63), max_size=6)), max_size=20),
    st.integers(0, 4),
)
def test_the_pairs_are_those_that_a_comparison_of_all_with_all_finds(
    hashes: list[int], changes: list[tuple[int, set[int]]], most: int
) -> None:
    for number, bits in changes:  # neighbours, which random numbers have none of
        if number < len(hashes):
            hashes.append(hashes[number] ^ sum(1 << bit for bit in bits))
    hashes = list(dict.fromkeys(hashes))
    expected = {frozenset(pair) for pair in combinations(hashes, 2) if apart(*pair) <= most}
    found = list(near(hashes, most))
    assert {frozenset(pair) for pair in found} == expected
    assert len(found) == len(expected)
