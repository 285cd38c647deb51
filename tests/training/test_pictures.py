"""What people return from `render`, and how it is filmed."""

import numpy as np
import pytest

from savanna.envs.picture import RATE, NoPicture, as_picture, as_rate, fitted

BYTES = np.zeros((61, 81, 3), np.uint8)
BYTES[20:40, 30:50] = (255, 128, 0)
GREY = BYTES.max(axis=2)
ALPHA = np.full((61, 81, 1), 255, np.uint8)


@pytest.mark.parametrize(
    ("rendered", "shown"),
    [
        (BYTES, BYTES),
        (BYTES.astype(np.int64), BYTES),
        (BYTES / 255, BYTES),
        (BYTES.astype(np.float32), BYTES),
        (np.concatenate([BYTES, ALPHA], axis=2), BYTES),
        (BYTES.transpose(2, 0, 1), BYTES),
        ([np.zeros_like(BYTES), BYTES], BYTES),
        (GREY, np.repeat(GREY[..., None], 3, axis=2)),
        (GREY[..., None], np.repeat(GREY[..., None], 3, axis=2)),
        (GREY > 9, np.repeat(GREY[..., None], 3, axis=2)),
    ],
)
def test_pictures_of_all_kinds(rendered, shown):
    picture = as_picture(rendered)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, shown)


@pytest.mark.parametrize(
    ("rendered", "says"),
    [
        (None, "NoneType"),
        ([], r"list|\[0\]"),
        ("text", "str"),
        (np.zeros((5, 6, 7)), r"float64 \[5, 6, 7\]"),
        (np.zeros((0, 5, 3)), r"float64 \[0, 5, 3\]"),
        ([[1, 2], [3]], "list"),
    ],
)
def test_what_is_no_picture_is_named(rendered, says):
    with pytest.raises(NoPicture, match=rf"^render\(\) returns .*({says})"):
        as_picture(rendered)


@pytest.mark.parametrize("rate", [None, 0.5, 0, -3, float("nan"), float("inf"), "fast", 1000])
def test_a_rate_that_cannot_be_used(rate):
    assert as_rate(rate) == RATE


def test_a_rate_that_can():
    assert [as_rate(rate) for rate in (1, 12.4, np.float32(50))] == [1, 12, 50]


def test_all_pictures_of_a_film_have_one_size():
    large = np.full((20, 30, 3), 7, np.uint8)
    assert fitted(large, BYTES).shape == BYTES.shape
    assert fitted(large, BYTES).max() == 7
