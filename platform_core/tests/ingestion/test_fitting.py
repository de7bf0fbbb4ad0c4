"""Whole columns are judged as their values would be, one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_core.ingestion.fitting import fit
from platform_core.ingestion.rows import instant
from platform_core.ingestion.types import Kind

PLAIN = (
    "2024-02-29T10:00:00",
    "2024-02-29 10:00:00",
    "2024-02-29T10:00:00Z",
    "2024-02-29T10:00:00.5+01",
    "2024-02-29T10:00:00.123456-0130",
)
ODD = (
    "2024-02-30T10:00:00",
    "2024-02-29",
    "20240229T100000",
    "2024-02-29|10:00:00",
    "2024-W09-4T10:00:00",
    "now",
    "",
    7,
    "2024-02-29T10:00:00+01:00:30",
)


@given(st.lists(st.one_of(st.none(), st.sampled_from(PLAIN), st.sampled_from(ODD)), max_size=8))
def test_instants_of_a_column_fit_as_each_of_them_would(values: list[object]) -> None:
    fitted, wrong = fit(Kind.TIMESTAMPTZ, values)
    assert list(fitted) == values
    assert list(wrong) == [index for index, value in enumerate(values) if value in ODD]
    assert list(fit(Kind.TIMESTAMPTZ, values * 2)[1]) == [index for index, value in enumerate(values * 2) if value in ODD]


@pytest.mark.parametrize(("values", "wrong"), [([], []), ([None, None], []), ([None, "2024-02-29"], []), (["2024-02-29", "20240229"], [1])])
def test_dates_of_a_column(values: list[object], wrong: list[int]) -> None:
    assert list(fit(Kind.DATE, values)[1]) == wrong


@given(st.integers(min_value=0, max_value=253_402_300_799_999))
def test_milliseconds_are_written_exactly(milliseconds: int) -> None:
    written = datetime.fromisoformat(instant(milliseconds) + ":00")
    assert written == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
