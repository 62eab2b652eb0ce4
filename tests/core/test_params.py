"""Parameters from signatures."""

import math
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from volition.core import Ge, Gt, LoadError, Lt, Node, Unit
from volition.core.params import build, problems, schema_of


class Tuned(Node):
    """A node with parameters of each kind."""

    def __init__(
        self,
        low: Annotated[float, Unit("Hz"), Gt(0), Lt(100)],
        order: Annotated[int, Ge(1)] = 4,
        kind: Literal["a", "b"] = "a",
        names: list[str] | None = None,
        pair: tuple[float, float] = (0.0, 1.0),
        flag: bool = False,
    ):
        """low: a frequency."""
        self.given = (low, order, kind, names, pair, flag)

    def update(self):
        """Do nothing."""


@given(
    low=st.floats(0, 100, exclude_min=True, exclude_max=True),
    order=st.integers(1, 10**6),
    kind=st.sampled_from(["a", "b"]),
    names=st.none() | st.lists(st.text()),
    pair=st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)),
    flag=st.booleans(),
)
def test_good_values_arrive_as_they_are(low, order, kind, names, pair, flag):
    given_ = {"low": low, "order": order, "kind": kind, "names": names, "pair": list(pair), "flag": flag}
    assert build(Tuned, given_).given == (low, order, kind, names, pair, flag)


@given(st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not 0 < x < 100))
def test_out_of_range_is_refused_by_name(low):
    found = problems(Tuned, {"low": low})
    assert [p.path for p in found] == [("low",)]
    assert found[0].message.startswith("low: should be")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("low", "1"), ("low", True), ("low", None), ("low", [1.0]), ("low", math.nan),
        ("order", 1.5), ("order", "4"), ("order", 0), ("kind", "c"), ("names", "a"), ("names", [1]),
        ("pair", [1.0]), ("flag", "yes"), ("flag", 1),
    ],
)  # fmt: skip
def test_wrong_types_are_refused(name, value):
    found = problems(Tuned, {"low": 1.0, **{name: value}})
    assert found and all(p.path[0] == name for p in found)


def test_a_whole_number_is_a_fine_float():
    assert build(Tuned, {"low": 5}).given[0] == 5.0


def test_all_mistakes_in_one_go():
    with pytest.raises(LoadError) as caught:
        build(Tuned, {"order": 0, "hihg": 3}, "filter")
    message = str(caught.value)
    assert message.startswith("filter: ")
    assert "the parameter 'low' is missing" in message and "no parameter 'hihg'" in message and "order" in message


def test_schema_has_names_bounds_and_defaults():
    properties = schema_of(Tuned).model_json_schema()["properties"]
    assert list(properties) == ["low", "order", "kind", "names", "pair", "flag"]
    assert properties["low"]["exclusiveMinimum"] == 0 and properties["order"]["default"] == 4
