"""Which tensors are taken, which are refused, and what is said of each."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from butterflyer_jax.errors import UserError
from butterflyer_jax.models.weights import Tensor, Weights, check, match, summary, table

OURS = {
    "/block5_conv1/kernel": (3, 3, 2, 8),
    "/fc1/kernel": (9 * 8, 4),
    "/fc1/bias": (4,),
    "/logits/kernel": (4, 5),
    "/logits/bias": (5,),
}
DEFAULT = "^/logits/"


def source(changes: dict[str, tuple[int, ...] | None] | None = None, *more: Tensor, **fields: object) -> Weights:
    """Weights that fit OURS but for some shapes; None leaves a tensor out."""
    shapes = {path: shape for path, shape in (OURS | (changes or {})).items() if shape}
    tensors = [Tensor(path.strip("/"), shape, path, np.ones(shape, np.float32)) for path, shape in shapes.items()]
    return Weights("w.h5", "vgg11", False, None, None, (*tensors, *more), **fields)


def test_what_fits_is_taken() -> None:
    weights = source()
    values, rows = match(weights, OURS, "")
    check(weights, rows, "")
    assert {path: value.shape for path, value in values.items()} == OURS
    assert summary(rows) == "5 taken"


def test_another_number_of_species_is_allowed_by_default_and_can_be_forbidden() -> None:
    weights = source({"/logits/kernel": (4, 1000), "/logits/bias": (1000,)})
    values, rows = match(weights, OURS, DEFAULT)
    check(weights, rows, DEFAULT)
    assert set(values) == {"/block5_conv1/kernel", "/fc1/kernel", "/fc1/bias"}
    assert summary(rows) == "3 taken, 2 re-initialised, 2 left over"
    lines = list(table(rows))
    assert len(lines) == 7
    assert any("left over" in line and "4x1000 there and 4x5 here, it is for another number" in line for line in lines)
    _, rows = match(weights, OURS, "")
    with pytest.raises(UserError, match="another number of species"):
        check(weights, rows, "")


def counted(species: str) -> Weights:
    """Weights of these species whose logits differ."""
    weights = source({"/logits/kernel": (4, len(species)), "/logits/bias": (len(species),)}, species=tuple(species))
    tensors = [
        dataclasses.replace(x, value=x.value * np.arange(1, 1 + len(species), dtype=np.float32))
        if x.target.startswith("/logits/")
        else x
        for x in weights.tensors
    ]
    return dataclasses.replace(weights, tensors=tuple(tensors))


@pytest.mark.parametrize(
    ("theirs", "ours", "bias", "note"),
    [
        # More, fewer, as many, in another order.
        ("abc", "abxcy", [1, 2, 2, 3, 2], "3 of 5 species kept; new: x, y"),
        ("abcdefg", "gbacd", [7, 2, 1, 3, 4], "5 of 5 species kept; left out: e, f"),
        ("abcde", "abcdx", [1, 2, 3, 4, 2.5], "4 of 5 species kept; new: x; left out: e"),
        ("abcde", "edcba", [5, 4, 3, 2, 1], "5 of 5 species kept"),
        (
            "pqrst",
            "pabcd",
            [1, 1, 1, 1, 1],
            "1 of 5 species kept; new: a, b, c and 1 more; left out: q, r, s and 1 more",
        ),
    ],
)
def test_rows_of_species_that_both_know_are_kept(theirs: str, ours: str, bias: list[float], note: str) -> None:
    weights = counted(theirs)
    values, rows = match(weights, OURS, DEFAULT, list(ours))
    check(weights, rows, DEFAULT)
    assert values["/logits/bias"].tolist() == bias
    known = [float(theirs.find(name) + 1) for name in ours]
    assert values["/logits/kernel"].tolist() == [known] * 4
    assert summary(rows) == "3 taken, 2 grown"
    assert sum(line.startswith("  grown") and line.endswith(note) for line in table(rows)) == 2
    # Rows that are re-initialised or left out need permission like any other; another order does not.
    _, rows = match(weights, OURS, "", list(ours))
    assert any(row.refused for row in rows) == ("new" in note or "left out" in note)


def test_species_may_be_called_otherwise_there() -> None:
    weights = counted("abc")
    values, _ = match(weights, OURS, DEFAULT, list("vwxyz"), {"a": "z", "c": "v"})
    assert values["/logits/bias"].tolist() == [3, 2, 2, 2, 1]
    for renamed, message in (
        ({"k": "v"}, r"w\.h5 has no species k"),
        ({"a": "k"}, "the data set has no species k"),
        ({"a": "v", "b": "v"}, r"two species of w\.h5 would both be v"),
    ):
        with pytest.raises(UserError, match=message):
            match(weights, OURS, DEFAULT, list("vwxyz"), renamed)
    with pytest.raises(UserError, match="does not know its species"):
        match(source(), OURS, DEFAULT, list("vwxyz"), {"a": "v"})


def test_a_head_of_other_species_starts_anew() -> None:
    weights = source(species=("a", "b", "c", "d", "e"))
    assert summary(match(weights, OURS, DEFAULT, ["a", "b", "c", "d", "e"])[1]) == "5 taken"
    assert "/logits/bias" in match(weights, OURS, DEFAULT)[0]
    values, rows = match(weights, OURS, DEFAULT, ["v", "w", "x", "y", "z"])
    assert "/logits/bias" not in values
    assert sum("of other species" in line for line in table(rows)) == 4


def test_another_image_size_is_reported_as_that() -> None:
    weights = source({"/fc1/kernel": (49 * 8, 4)})
    _, rows = match(weights, OURS, DEFAULT)
    with pytest.raises(UserError) as error:
        check(weights, rows, DEFAULT)
    assert "/fc1/kernel: it is 392x4 there and 72x4 here, it is for data.image_size=224" in str(error.value)
    suggestion = str(error.value).partition("pretrained_allow='")[2].rstrip("'")
    assert suggestion == "^/logits/|^/(fc1)"
    _, rows = match(weights, OURS, suggestion)
    check(weights, rows, suggestion)
    # The bias fits all the same.
    assert summary(rows) == "4 taken, 1 re-initialised, 1 left over"


def test_another_width_is_reported_as_that() -> None:
    weights = source({"/block5_conv1/kernel": (3, 3, 2, 16)})
    _, rows = match(weights, OURS, DEFAULT)
    with pytest.raises(UserError, match=r"it is 3x3x2x16 there and 3x3x2x8 here, model\.width_multiplier or"):
        check(weights, rows, DEFAULT)


def test_what_has_no_place_needs_permission_unless_it_is_idle() -> None:
    idle = [Tensor(f"optimizer/{n}", (3,), idle="of the optimizer") for n in range(4)]
    extra = Tensor("aux.weight", (2, 2))
    weights = source({"/fc2/kernel": (4, 4)}, extra, *idle)
    _, rows = match(weights, OURS, DEFAULT)
    assert len(rows) == len(weights.tensors)
    with pytest.raises(UserError) as error:
        check(weights, rows, DEFAULT)
    assert "/fc2/kernel: the network has no such layer; aux.weight: the network has nothing like it" in str(error.value)
    suggestion = str(error.value).partition("pretrained_allow='")[2].rstrip("'")
    _, rows = match(weights, OURS, suggestion)
    check(weights, rows, suggestion)
    lines = list(table(rows))
    assert sum("optimizer" in line for line in lines) == 1
    assert any("optimizer/0" in line and line.endswith("of the optimizer, and 3 more") for line in lines)


def test_what_the_source_lacks_needs_permission() -> None:
    weights = source({path: None for path in OURS if "fc1" in path})
    _, rows = match(weights, OURS, DEFAULT)
    with pytest.raises(UserError, match=r"/fc1/kernel: the source has none.*\^/logits/\|\^/\(fc1\)"):
        check(weights, rows, DEFAULT)
    assert any("NOT ALLOWED" in line for line in table(rows))


def test_long_lists_are_cut() -> None:
    weights = source(None, *(Tensor(f"aux{n}.weight", ()) for n in range(9)))
    _, rows = match(weights, OURS, "")
    with pytest.raises(UserError, match=r"aux2\.weight: [^;]*; and 6 more\. "):
        check(weights, rows, "")
