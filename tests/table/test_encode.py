import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curator.table import ENCODERS, DistanceRows, OrdinalRows
from curator.table.encode import OneHotRows

CLASSES = (OrdinalRows, OneHotRows, DistanceRows)
WORDS = ("w", "v")
TRAIN = pd.DataFrame(
    {
        "n": [1.0, 2.0, np.nan, 5.0, 7.0, 8.0],
        "w": ["b", "a", "b", np.nan, "c", "a"],
        "m": [0.5, 0.25, 0.75, 1.5, 0.0, 9.0],
        "v": ["True", "False", "True", "True", "False", "True"],
    }
)
ODD = pd.DataFrame({"n": [np.nan, 1e6], "w": ["unseen", np.nan], "m": [np.nan, -1e6], "v": [np.nan, "maybe"]})


@pytest.fixture(params=CLASSES, ids=lambda c: c.__name__)
def kind(request):
    return request.param


def test_the_registry_names_the_encoders_of_estimators():
    assert {"ordinal": OrdinalRows, "one_hot": OneHotRows} == ENCODERS


class TestEveryEncoder:
    def test_shape_and_layout(self, kind):
        matrix = kind(WORDS).fit(TRAIN).transform(TRAIN)
        assert matrix.shape[0] == 6
        assert matrix.dtype == (np.float32 if kind is DistanceRows else np.float64)
        assert matrix.flags.c_contiguous

    def test_it_is_fitted_on_training_rows_only(self, kind):
        encoder = kind(WORDS).fit(TRAIN)
        before = encoder.transform(TRAIN)
        encoder.transform(ODD)
        np.testing.assert_array_equal(encoder.transform(TRAIN), before)

    def test_rows_are_encoded_one_by_one(self, kind):
        encoder = kind(WORDS).fit(TRAIN)
        both = pd.concat([TRAIN, ODD], ignore_index=True)
        one_by_one = np.vstack([encoder.transform(both.iloc[[i]]) for i in range(len(both))])
        np.testing.assert_array_equal(encoder.transform(both), one_by_one)

    def test_rows_that_training_never_saw_have_as_many_coordinates(self, kind):
        encoder = kind(WORDS).fit(TRAIN)
        assert encoder.transform(ODD).shape == (2, encoder.transform(TRAIN).shape[1])

    def test_missing_values_where_training_had_none(self, kind):
        whole = TRAIN.assign(n=1.0 + np.arange(6), w=list("abcabc"))
        encoder = kind(WORDS).fit(whole)
        assert encoder.transform(ODD).shape[1] == encoder.transform(whole).shape[1]

    def test_the_names_of_the_index_do_not_matter(self, kind):
        encoder = kind(WORDS).fit(TRAIN.set_axis([5, 5, 5, 9, 9, 9]))
        np.testing.assert_array_equal(
            encoder.transform(TRAIN.set_axis(list("pqrstu"))), kind(WORDS).fit(TRAIN).transform(TRAIN)
        )

    def test_numbers_alone_and_words_alone(self, kind):
        for columns, words in ((["n", "m"], ()), (["w", "v"], WORDS)):
            matrix = kind(words).fit(TRAIN[columns]).transform(TRAIN[columns])
            assert matrix.shape[0] == 6
            assert matrix.shape[1] >= 2

    def test_wholly_missing_columns(self, kind):
        empty = TRAIN.assign(n=np.nan, w=pd.Series([np.nan] * 6, dtype=object))
        encoder = kind(WORDS).fit(empty)
        assert encoder.transform(empty).shape == encoder.transform(TRAIN).shape
        if kind is not OrdinalRows:
            assert np.isfinite(encoder.transform(TRAIN)).all()

    def test_constant_columns(self, kind):
        constant = TRAIN.assign(n=3.0, m=0.0, w="a", v="True")
        assert len(np.unique(kind(WORDS).fit(constant).transform(constant), axis=0)) == 1


class TestOrdinal:
    def test_codes_first_then_numbers(self):
        encoder = OrdinalRows(WORDS).fit(TRAIN)
        assert encoder.categorical == [0, 1]
        nan = np.nan
        np.testing.assert_array_equal(
            encoder.transform(TRAIN),
            [
                [1, 1, 1, 0.5], [0, 0, 2, 0.25], [1, 1, nan, 0.75],
                [nan, 1, 5, 1.5], [2, 0, 7, 0], [0, 1, 8, 9],
            ],
        )  # fmt: skip

    def test_unseen_and_missing_categories_are_missing(self):
        nan = np.nan
        np.testing.assert_array_equal(
            OrdinalRows(WORDS).fit(TRAIN).transform(ODD), [[nan, nan, nan, nan], [nan, nan, 1e6, -1e6]]
        )

    @pytest.mark.parametrize("missing", [0, 5])
    def test_beyond_254_categories_the_rarest_share_a_code(self, missing):
        # k000 is the most frequent, k299 the rarest.
        words = [f"k{i:03d}" for i in range(300) for _ in range(301 - i)]
        rows = pd.DataFrame({"w": words + [np.nan] * missing})
        encoder = OrdinalRows(("w",)).fit(rows)
        codes = encoder.transform(pd.DataFrame({"w": [*(f"k{i:03d}" for i in range(300)), np.nan, "unseen"]}))[:, 0]
        assert len(set(codes[:253])) == 253
        assert len(set(codes[253:300])) == 1
        assert sorted(set(codes[:300])) == list(range(254))
        assert np.isnan(codes[300:]).all()

    def test_254_categories_keep_a_code_each(self):
        rows = pd.DataFrame({"w": [f"k{i:03d}" for i in range(254)]})
        assert sorted(OrdinalRows(("w",)).fit(rows).transform(rows)[:, 0]) == list(range(254))

    def test_gradient_boosting_takes_the_codes(self):
        from sklearn.ensemble import HistGradientBoostingClassifier

        rows = pd.DataFrame({"w": [f"k{i % 300:03d}" for i in range(900)], "n": np.arange(900.0)})
        encoder = OrdinalRows(("w",)).fit(rows)
        model = HistGradientBoostingClassifier(categorical_features=encoder.categorical, max_iter=2)
        model.fit(encoder.transform(rows), np.arange(900) % 2)
        assert model.predict(encoder.transform(pd.DataFrame({"w": ["unseen", np.nan], "n": [np.nan, 1.0]}))).shape == (
            2,
        )


class TestOneHot:
    def test_numbers_are_standardised_and_their_gaps_shown(self):
        rows = pd.DataFrame({"n": [1.0, np.nan, 3.0, 2.0]})
        matrix = OneHotRows(()).fit(rows).transform(rows)
        root = np.sqrt(2)
        third = 1 / np.sqrt(3)
        np.testing.assert_allclose(matrix, [[-root, -third], [0, 3 * third], [root, -third], [0, -third]], atol=1e-12)

    def test_categories_have_an_indicator_each_missing_too(self):
        rows = pd.DataFrame({"w": ["b", "a", np.nan]})
        np.testing.assert_array_equal(OneHotRows(("w",)).fit(rows).transform(rows), [[0, 1, 0], [1, 0, 0], [0, 0, 1]])

    def test_unseen_categories_have_none(self):
        encoder = OneHotRows(("w",)).fit(pd.DataFrame({"w": ["b", "a"]}))
        assert encoder.transform(pd.DataFrame({"w": ["z", np.nan]})).tolist() == [[0, 0], [0, 0]]

    def test_beyond_50_categories_the_rarest_share_an_indicator(self):
        rows = pd.DataFrame({"w": [f"k{i:02d}" for i in range(80) for _ in range(81 - i)]})
        encoder = OneHotRows(("w",)).fit(rows)
        matrix = encoder.transform(pd.DataFrame({"w": [f"k{i:02d}" for i in range(80)] + ["unseen"]}))
        assert matrix.shape == (81, 50)
        assert matrix.sum(axis=1).tolist() == [1.0] * 81
        assert len(np.unique(matrix[49:80], axis=0)) == 1
        np.testing.assert_array_equal(matrix[80], matrix[79])

    def test_no_column_is_for_codes(self):
        assert OneHotRows(WORDS).fit(TRAIN).categorical == []

    def test_everything_is_finite(self):
        encoder = OneHotRows(WORDS).fit(TRAIN)
        assert np.isfinite(encoder.transform(pd.concat([TRAIN, ODD]))).all()


def distances(matrix):
    return np.linalg.norm(matrix[:, None, :] - matrix[None, :, :], axis=2)


class TestDistance:
    def test_numbers_differ_in_standard_deviations(self):
        rows = pd.DataFrame({"n": [0.0, 10.0, 20.0], "m": [1.0, 1.0, 1.0]})
        deviation = np.std([0, 10, 20])
        expected = np.abs(np.subtract.outer([0, 10, 20], [0, 10, 20])) / deviation
        np.testing.assert_allclose(distances(DistanceRows(()).fit(rows).transform(rows)), expected, rtol=1e-6)

    def test_the_scale_is_that_of_the_training_rows(self):
        encoder = DistanceRows(()).fit(pd.DataFrame({"n": [0.0, 2.0]}))
        np.testing.assert_allclose(
            distances(encoder.transform(pd.DataFrame({"n": [0.0, 500.0]})))[0, 1], 500, rtol=1e-6
        )

    def test_missing_numbers_are_the_mean(self):
        rows = pd.DataFrame({"n": [0.0, 2.0, 4.0, np.nan]})
        matrix = DistanceRows(()).fit(rows).transform(rows)
        np.testing.assert_allclose(matrix[3], matrix[1], atol=1e-6)

    def test_different_categories_are_1_apart_whatever_they_are(self):
        rows = pd.DataFrame({"w": ["a", "b", "c", np.nan]})
        np.testing.assert_allclose(
            distances(DistanceRows(("w",)).fit(rows).transform(rows)), 1 - np.eye(4), rtol=1e-6, atol=1e-6
        )

    def test_an_unseen_category_differs_by_1_as_well(self):
        encoder = DistanceRows(("w",)).fit(pd.DataFrame({"w": ["a", "b"]}))
        found = distances(encoder.transform(pd.DataFrame({"w": ["a", "b", "unseen"]})))
        np.testing.assert_allclose(found, 1 - np.eye(3), rtol=1e-6, atol=1e-6)

    def test_columns_add_up_as_squares(self):
        rows = pd.DataFrame({"n": [0.0, 2.0, 0.0], "w": ["a", "b", "b"], "v": ["t", "u", "u"]})
        scale = np.std([0, 2, 0])
        found = distances(DistanceRows(WORDS).fit(rows).transform(rows))
        np.testing.assert_allclose(found[0], [0, np.sqrt((2 / scale) ** 2 + 2), np.sqrt(2)], rtol=1e-6)

    def test_equal_rows_are_at_distance_0(self):
        matrix = DistanceRows(WORDS).fit(TRAIN).transform(pd.concat([TRAIN, TRAIN]))
        np.testing.assert_array_equal(matrix[:6], matrix[6:])

    @given(
        values=st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=1, max_size=30),
        words=st.lists(st.sampled_from(["a", "b", np.nan]), min_size=30, max_size=30),
    )
    def test_coordinates_are_finite(self, values, words):
        rows = pd.DataFrame({"n": values, "w": pd.Series(words[: len(values)], dtype=object)})
        encoder = DistanceRows(("w",)).fit(rows)
        assert np.isfinite(encoder.transform(rows)).all()
        assert np.isfinite(encoder.transform(pd.DataFrame({"n": [np.nan, 1e6], "w": ["z", np.nan]}))).all()
