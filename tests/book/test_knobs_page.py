"""The page of knobs: what it shows without a script, with one, and that its text holds."""

import json
import re
from itertools import product

import pandas as pd
import pytest

from helpers.places import ROOT
from howfar.book import knobs_page as page
from howfar.book.speed_page import measured


@pytest.fixture(scope="module")
def table():
    return measured("demo_knobs")


@pytest.fixture(scope="module")
def text(table):
    return page.knobs_page(table)


@pytest.fixture(scope="module")
def alone(table):
    """Rows by the value of one knob, the others as the default."""

    def of(knob):
        chosen = page.default(table)
        others = [name for name in chosen if name != knob]
        rows = table[(table[others] == pd.Series(chosen)[others]).all(axis=1)]
        return rows.sort_values(knob).set_index(knob)

    return of


def figure(text):
    return text[text.index('<div class="knobs">') : text.index("</script>")]


def test_the_default_stands_there_without_a_script(table, text, alone):
    row = alone("coin").loc[0.55]
    for name in (*page._MEANS, *page._SHARES):
        line = re.search(rf'data-row="{name}".*?</div>', text)[0]
        assert page._interval(row, name) in line
    assert page.sentence(row).replace("'", "&#x27;") in text
    assert '<form class="knobs-form" hidden>' in text
    assert "\n\n" not in figure(text)  # where raw HTML ends in Markdown


def test_each_combination_is_in_the_data(table, text):
    data = json.loads(re.search(r'class="knobs-data">(.*)$', figure(text))[1])
    places = [range(len(values)) for values in data["shown"].values()]
    assert set(data["rows"]) == {",".join(map(str, key)) for key in product(*places)}
    sliders = re.findall(r'name="(\w+)" min="0" max="(\d+)" step="1" value="(\d+)"', text)
    assert [name for name, *_ in sliders] == list(data["shown"])
    values, chosen, reading = data["rows"][",".join(value for *_, value in sliders)]
    assert chosen in text and reading.replace("'", "&#x27;") in text
    assert len(values) == 3 * len(data["names"]) and None not in values
    assert all(
        f'data-row="{name}"' in text for name in data["names"]
    )  # where the script looks for them


def test_marks_stay_within_their_axes(table):
    for _, rows, (low, high), _ in page._BLOCKS.values():
        columns = [f"{name}{end}" for name in rows for end in ("", "_low", "_high")]
        assert table[columns].ge(low).all(axis=None) and table[columns].le(high).all(axis=None)


def test_what_the_page_says_of_each_knob_holds(alone):
    coin, distal, people = alone("coin"), alone("distal"), alone("people")
    assert coin["network"].is_monotonic_increasing and coin["network_low"].loc[1.0] > 0
    assert coin["network"].loc[1.0] < coin["blup"].loc[1.0]
    for name in ("told", "blup", "prior"):
        assert abs(coin[name].loc[0.25] - coin[name].loc[1.0]) < 0.02
        assert people[name].is_monotonic_increasing
    for name in ("told", "blup_context"):
        assert distal[name].is_monotonic_decreasing
        assert distal[name].loc[0.1] - distal[name].loc[0.7] > 0.05
    assert abs(distal["blup"].loc[0.1] - distal["blup"].loc[0.7]) < 0.03
    assert abs(people["network"].loc[75] - people["network"].loc[300]) < 0.03
    genes = alone("training_genes")
    assert genes["genes_held_out"].iloc[-1] > genes["genes_held_out"].iloc[0] + 0.1
    assert (genes["network"] < genes["blup"] / 2).all()
    assert genes["network_low"].le(0.02).all()


def test_one_sentence_for_each_way_it_can_end(alone):
    row = alone("coin").loc[0.55]
    told = {
        (-0.1, 0.1): "can't tell people apart",
        (0.05, 0.1): "yet less than BLUP",
        (-0.1, -0.05): "wrong about people more often than right",
    }
    for (low, high), words in told.items():
        changed = row.copy()
        changed[["network_low", "network", "network_high"]] = low, (low + high) / 2, high
        assert words in page.sentence(changed)
    changed[["network_low", "network"]] = 0.3, 0.4
    assert "as BLUP of the same people's genotypes does" in page.sentence(changed)


def test_the_committed_table_is_small():
    assert (ROOT / "data" / "measured" / "demo_knobs.csv").stat().st_size < 200_000
