from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.records.merkle import Step, Tree, subject_key

SALT = "project-1"
SIZES = [*range(41), 1000, 2047, 2048, 2049, 5000]


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def leaf_hash(key: bytes) -> bytes:
    return sha(b"\x00" + key)


def left_of(count: int) -> int:
    """The largest power of two below `count`: how many leaves are in the left half of a tree, by RFC 6962."""
    return 1 << (count - 1).bit_length() - 1


def head(keys: list[bytes]) -> bytes:
    """The hash of the tree over `keys`, by the recursive definition of RFC 6962, section 2.1."""
    if not keys:
        return sha(b"")
    if len(keys) == 1:
        return leaf_hash(keys[0])
    half = left_of(len(keys))
    return sha(b"\x01" + head(keys[:half]) + head(keys[half:]))


def climb(node: bytes, position: int, count: int, path: list[bytes]) -> bytes | None:
    """What the audit path of a leaf leads to, by section 2.1.1 of RFC 6962; None if it has not the right length."""
    if count == 1:
        return None if path else node
    if not path:
        return None
    half, sibling = left_of(count), path[-1]
    if position < half:
        below = climb(node, position, half, path[:-1])
        return below and sha(b"\x01" + below + sibling)
    below = climb(node, position - half, count - half, path[:-1])
    return below and sha(b"\x01" + sibling + below)


def sealed(count: int, top: bytes, salt: str = SALT) -> str:
    text = salt.encode()
    return sha(b"\x02" + count.to_bytes(8, "big") + len(text).to_bytes(8, "big") + text + top).hex()


def is_proved(step: Step, count: int, root: str) -> bool:
    if not 0 <= step.position < count:
        return False
    path = [bytes.fromhex(sibling) for sibling in step.path]
    top = climb(leaf_hash(bytes.fromhex(step.key)), step.position, count, path)
    return top is not None and sealed(count, top) == root


def is_absent(subject: str, steps: list[Step], count: int, root: str) -> bool:
    """Whether `steps` prove that a subject is in no tree of this root and size."""
    wanted = subject_key(SALT, subject).hex()
    if not all(is_proved(step, count, root) for step in steps):
        return False
    match steps:
        case []:
            return count == 0 and root == sealed(0, sha(b""))
        case [only]:
            before_all = only.position == 0 and wanted < only.key
            return before_all or (only.position == count - 1 and only.key < wanted)
        case [left, right]:
            return right.position == left.position + 1 and left.key < wanted < right.key
    return False


def numbered(count: int) -> list[str]:
    return [f"PAT-{number}" for number in range(count)]


def flipped(data: str, bit: int) -> str:
    """Hexadecimal digits with one bit altered."""
    value = bytearray.fromhex(data)
    value[bit // 8] ^= 1 << bit % 8
    return value.hex()


ids = st.sets(st.text(max_size=6), max_size=40)


@given(subjects=ids)
def test_everyone_in_the_tree_is_proved_to_be_in_it(subjects: set[str]) -> None:
    tree = Tree(SALT, subjects)
    assert len(tree) == len(subjects)
    for subject in subjects:
        [step] = tree.prove(subject)
        assert step.key == subject_key(SALT, subject).hex()
        assert is_proved(step, len(tree), tree.root)
        assert not is_absent(subject, [step], len(tree), tree.root)


@given(subjects=ids, others=ids)
def test_everyone_else_is_proved_not_to_be_in_it(subjects: set[str], others: set[str]) -> None:
    tree = Tree(SALT, subjects)
    for other in others - subjects:
        assert is_absent(other, tree.prove(other), len(tree), tree.root)


@pytest.mark.parametrize("count", SIZES)
def test_a_tree_of_any_size_proves_who_is_in_it_and_who_is_not(count: int) -> None:
    tree = Tree(SALT, numbered(count))
    keys = sorted(subject_key(SALT, subject) for subject in numbered(count))
    assert tree.root == sealed(count, head(keys))
    every = max(1, count // 40)
    for subject in numbered(count)[::every]:
        [step] = tree.prove(subject)
        assert step.position == keys.index(subject_key(SALT, subject))
        assert is_proved(step, count, tree.root)
    for number in range(40):
        steps = tree.prove(f"OTHER-{number}")
        place = bisect_left(keys, subject_key(SALT, f"OTHER-{number}"))
        assert [step.position for step in steps] == [near for near in (place - 1, place) if 0 <= near < count]
        assert is_absent(f"OTHER-{number}", steps, count, tree.root)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 13, 40, 1000])
def test_every_altered_bit_of_a_proof_is_refused(count: int) -> None:
    tree = Tree(SALT, numbered(count))
    for subject in numbered(count)[:: max(1, count // 8)]:
        [step] = tree.prove(subject)
        assert is_proved(step, count, tree.root)
        altered = [replace(step, key=flipped(step.key, bit)) for bit in range(256)]
        altered += [replace(step, position=step.position ^ 1 << bit) for bit in range(64)]
        for place, sibling in enumerate(step.path):
            paths = [[*step.path[:place], flipped(sibling, bit), *step.path[place + 1 :]] for bit in range(256)]
            altered += [replace(step, path=path) for path in paths]
        assert not any(is_proved(other, count, tree.root) for other in altered)
        assert not any(is_proved(step, count ^ 1 << bit, tree.root) for bit in range(64))
        assert not any(is_proved(step, count, flipped(tree.root, bit)) for bit in range(256))


@given(subjects=ids.filter(bool), data=st.data())
def test_a_proof_is_right_at_one_position_and_one_size_only(subjects: set[str], data: st.DataObject) -> None:
    tree = Tree(SALT, subjects)
    [step] = tree.prove(data.draw(st.sampled_from(sorted(subjects))))
    for count in range(82):
        for position in range(count):
            right = (position, count) == (step.position, len(tree))
            assert is_proved(replace(step, position=position), count, tree.root) == right


@given(subjects=ids.filter(bool), data=st.data())
def test_a_path_that_is_shorter_or_longer_is_refused(subjects: set[str], data: st.DataObject) -> None:
    tree = Tree(SALT, subjects)
    [step] = tree.prove(data.draw(st.sampled_from(sorted(subjects))))
    longer = [[*step.path, tree.root], [tree.root, *step.path], step.path * 2 or [step.key]]
    for path in [step.path[:-1], step.path[1:], step.path[::-1], *longer]:
        assert is_proved(replace(step, path=path), len(tree), tree.root) == (path == step.path)


def test_who_is_in_the_tree_cannot_be_denied() -> None:
    tree = Tree(SALT, numbered(13))
    every = [step for subject in numbered(13) for step in tree.prove(subject)]
    for subject in numbered(13):
        assert not is_absent(subject, [], 13, tree.root)
        assert not any(is_absent(subject, [step], 13, tree.root) for step in every)
        assert not any(is_absent(subject, [left, right], 13, tree.root) for left in every for right in every)


@given(subjects=st.lists(st.text(max_size=6), max_size=40), data=st.data())
def test_order_and_repetition_change_no_root(subjects: list[str], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(subjects), max_size=10)) if subjects else []
    shuffled = data.draw(st.permutations(subjects + again))
    one, other = Tree(SALT, subjects), Tree(SALT, iter(shuffled))
    assert (one.root, len(one)) == (other.root, len(other))
    assert [one.prove(subject) for subject in subjects] == [other.prove(subject) for subject in subjects]


@given(one=ids, other=ids)
def test_other_subjects_make_another_root(one: set[str], other: set[str]) -> None:
    assert (Tree(SALT, one).root == Tree(SALT, other).root) == (one == other)


@given(subjects=ids, salts=st.lists(st.text(max_size=6), min_size=2, max_size=2, unique=True))
def test_another_salt_makes_another_root(subjects: set[str], salts: list[str]) -> None:
    one, other = (Tree(salt, subjects) for salt in salts)
    assert one.root != other.root


@given(
    one=st.tuples(st.text(max_size=6), st.text(max_size=6)), other=st.tuples(st.text(max_size=6), st.text(max_size=6))
)
def test_no_two_pairs_of_salt_and_id_have_one_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (subject_key(*one) == subject_key(*other)) == (one == other)


def test_the_end_of_a_salt_is_no_beginning_of_an_id() -> None:
    assert subject_key("ab", "c") != subject_key("a", "bc")
    assert subject_key("1", "1:c") != subject_key("11:1", "c")


def test_keys_and_roots_are_what_they_were_when_proofs_were_handed_out() -> None:
    key, salt = sha(b"9:project-1PAT-1"), bytes(7) + b"\x09project-1"
    assert subject_key(SALT, "PAT-1") == key
    assert Tree(SALT, ["PAT-1"]).root == sha(b"\x02" + bytes(7) + b"\x01" + salt + sha(b"\x00" + key)).hex()
    assert Tree(SALT, []).root == sha(b"\x02" + bytes(8) + salt + sha(b"")).hex()
    md5 = f"{7:032x}.dir"
    assert Tree(SALT, []).root_in(md5) == sha(b"\x03" + f"{md5}\n{Tree(SALT, []).root}".encode()).hex()


@given(subjects=ids, md5s=st.lists(st.integers(0, 99), min_size=2, max_size=2, unique=True))
def test_equal_subjects_in_two_dataset_versions_have_two_roots(subjects: set[str], md5s: list[int]) -> None:
    tree = Tree(SALT, subjects)
    one, other = (tree.root_in(f"{md5:032x}.dir") for md5 in md5s)
    assert one != other


@given(
    one=st.tuples(st.text(max_size=4), ids, st.integers(0, 3)),
    other=st.tuples(st.text(max_size=4), ids, st.integers(0, 3)),
)
def test_a_root_has_one_salt_one_set_of_subjects_and_one_dataset_version(
    one: tuple[str, set[str], int], other: tuple[str, set[str], int]
) -> None:
    roots = [Tree(salt, subjects).root_in(f"{number:032x}.dir") for salt, subjects, number in (one, other)]
    assert (roots[0] == roots[1]) == (one == other)


@settings(max_examples=10)
@given(count=st.integers(1, 5000))
def test_a_path_is_no_longer_than_the_logarithm_of_the_number_of_subjects(count: int) -> None:
    tree = Tree(SALT, numbered(count))
    assert all(len(tree.prove(subject)[0].path) <= (count - 1).bit_length() for subject in numbered(count)[::97])


def test_a_proof_among_a_million_subjects_would_be_a_few_kilobytes() -> None:
    tree = Tree(SALT, numbered(5000))
    longest = max((tree.prove(f"OTHER-{number}") for number in range(200)), key=lambda steps: len(str(steps)))
    levels = max(len(step.path) for step in longest)
    assert levels <= 13
    more = (1_000_000 - 1).bit_length() - levels
    assert len(str(longest)) + len(longest) * more * len(f"'{'0' * 64}', ") < 4_000
