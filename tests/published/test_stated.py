"""The page of what agrees: verdicts by the digits printed; no row of ours or theirs is lost."""

from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from howfar.book import stated_page
from howfar.core.errors import HowfarError
from howfar.published import stated
from howfar.published.stated import STATUS
from howfar.results import tables


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        (0.0559, "0.056", "agrees"),
        (0.0565, "0.056", "agrees"),
        (0.0566, "0.056", "differs"),
        (-0.19, "−0.2", "agrees"),
        (12702.0, "12,702", "agrees"),
        (12701.0, "12,702", "differs"),
        (0.5, "about 0.5", "in words"),
        (0.5, "", "not stated"),
        (float("nan"), "0.5", "not computed"),
    ],
)
def test_a_number_is_held_to_the_digits_that_the_paper_prints(value, text, expected):
    assert stated.verdict(value, text) == expected


@given(st.floats(-1, 1), st.integers(0, 5))
def test_a_number_agrees_with_itself_rounded_and_not_with_the_next_digit(value, digits):
    assert stated.verdict(value, f"{value:.{digits}f}") == "agrees"
    assert stated.verdict(value + 1.1 * 10**-digits, f"{value:.{digits}f}") == "differs"


def numbers(**values) -> pd.DataFrame:
    rows = pd.DataFrame({"id": list(values), "value": list(values.values())})
    return tables.validate("numbers", rows, "test")


def test_no_number_of_either_side_is_lost():
    given = pd.DataFrame(
        [("a", "1.0", "Fig. 1", ""), ("c", "3", "text", "")],
        columns=["id", "stated", "where", "note"],
    )
    found = stated.compare(numbers(a=1.04, b=2.0), given).set_index("id")["verdict"]
    assert found.to_dict() == {"a": "agrees", "b": "not stated", "c": "not computed"}


def test_the_shipped_tables_are_whole():
    assert stated.stated()["id"].is_unique
    assert set(stated.panels()["status"]) == set(STATUS)


def test_a_repeated_row_is_named(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "published_numbers.csv").write_text(
        "id,stated,where,note\na,1,x,\na,2,y,\n"
    )
    monkeypatch.setattr(stated, "project_root", lambda: tmp_path)
    with pytest.raises(HowfarError, match=r"published_numbers.csv.*1 repeated"):
        stated.stated()


def test_the_page_names_what_differs_and_escapes_what_markdown_would_eat(monkeypatch):
    given = pd.DataFrame(
        [("S.a", "0.5", "Fig. 9", "an older version")], columns=["id", "stated", "where", "note"]
    )
    monkeypatch.setattr(stated, "stated", lambda: given)
    rows = numbers(**{"S.a": 0.4, "S.b": -1.0}).assign(definition="mean |r|")
    monkeypatch.setattr(stated_page, "own_numbers", lambda table, study: rows)
    view = SimpleNamespace(study=SimpleNamespace(name="s"), tables={"numbers": rows})
    page = stated_page.stated_page([view])
    assert "| `S.a` | 0.4 | 0.5 | Fig. 9 | an older version |" in page
    assert "mean \\|r\\|" in page and "−1" in page
    assert page.count('<div class="filterable">') == 2
    assert page.index("## Panel by panel") < page.index("## What differs")


def test_a_panel_shows_every_number_that_differs_and_a_few_that_agree(monkeypatch):
    given = pd.DataFrame(
        [(f"S.2A.{i}", "0.50", "Fig 2A", "") for i in range(8)], columns=stated._STATED
    )
    every = stated.compare(
        numbers(**{f"S.2A.{i}": 0.5 for i in range(7)}, **{"S.2A.7": 0.62}), given
    )
    panel = of_panel().to_frame().T.assign(what="r and p", own="")
    table = stated_page._panel_table(every, panel)
    assert "| `S.2A.7` | 0.50 | 0.62 | 0.12 | 0.005 | differs |" in table
    assert table.count("| agrees |") == stated_page._SHOWN - 1
    assert "and 4 more that agree" in table and table.count(": r and p |") == 1


def of_panel(status="made", where="page.s; S.2A.neg", panel="2A") -> pd.Series:
    return pd.Series({"study": "sasse2023", "panel": panel, "status": status, "where": where})


@pytest.mark.parametrize(
    ("values", "panel", "expected"),
    [
        ({"S.2A.neg": 195, "S.2A.all": 598}, of_panel(), "agrees (2 of 2 printed numbers)"),
        (
            {"S.2A.neg": 195, "S.2A.all": 597},
            of_panel(),
            "differs: 597 against 598 (agree: 1 of 2 printed numbers)",
        ),
        ({"S.2C.n": 1568}, of_panel(panel="2C", where="S.2C.n"), "differs: 1,568 against 1,570"),
        ({"S.elsewhere": 0.26}, of_panel(panel="9", where="S.other"), "agrees"),
        ({"S.3B.n": 1}, of_panel(where="S.3B.n", panel="3B"), "the paper prints no number"),
        ({"S.2A.neg": 195}, of_panel("substitute"), "other data"),
    ],
)
def test_a_panel_is_judged_by_the_numbers_its_paper_prints(values, panel, expected):
    given = pd.DataFrame(
        [("S.2A.neg", "195", "Fig 2A", ""), ("S.2A.all", "598", "text", ""),
         ("S.2C.n", "1,570", "Fig 2C", ""), ("S.elsewhere", "0.3", "Fig S1 / 9, label", "")],
        columns=["id", "stated", "where", "note"],
    )  # fmt: skip
    assert stated.panel_verdict(stated.compare(numbers(**values), given), panel) == expected


def test_a_panel_is_cited_as_a_reader_would():
    assert stated.panel_label("sasse2023", "S4, S5") == "Sasse 2023, Fig. S4, S5"
    cited = stated.panel_label("rastogi2024", "rare variants")
    assert cited == "Rastogi, Reddy 2024, rare variants"
