"""The page on swapped samples: the committed trial, and what the studies' evaluations found."""

import pandas as pd

from howfar.book.mixups_page import mixups_page
from howfar.book.speed_page import measured
from howfar.core import sealed
from howfar.stats.mixups import ENOUGH

TABLE = measured("mixups")


def test_swaps_are_found_and_nobody_is_named_where_there_is_signal():
    enough = TABLE[TABLE["signal"] >= 18.5]  # 421 people x 400 genes at r 0.22: a sum of 20
    swaps = enough[enough["planted"] == "swapped pairs"]
    assert (swaps["found"] * swaps["trials"]).sum() / swaps["trials"].sum() >= 0.95
    clean = TABLE[(TABLE["planted"] == "none") & (TABLE["says"] >= ENOUGH)]
    assert (clean["draws"] >= 1_000).all() and (clean["alarms"] == 0).all() and len(clean) >= 2
    assert (TABLE.loc[TABLE["planted"] == "duplicates", "found"] == 1).all()


def test_the_share_that_is_said_is_the_share_that_is_found():
    swaps = TABLE[(TABLE["planted"] == "swapped pairs") & (TABLE["trials"] >= 12)]
    off = (swaps["found"] - swaps["says"]).abs()
    assert off.mean() < 0.06


def test_the_page_says_what_studies_found_and_no_name(tmp_path):
    found = {"people": 300, "genes": 9, "run": "blup", "signal": 2.5, "found": 0.5, "file": "f"}
    sealed.write_json(tmp_path / "few" / "mixups.json", found | {"counts": {}})
    some = found | {"found": 0.99, "counts": {"expression of others": 2}}
    sealed.write_json(tmp_path / "some" / "mixups.json", some)
    text = mixups_page(tmp_path)
    assert (
        'srcset="../_figures/mixups.narrow.svg"' in text and "at least 100 % from a signal" in text
    )
    assert "<svg" in (tmp_path / "book" / "figures" / "mixups.narrow.svg").read_text()
    assert "| few | 300 | 9 | 2.5 | 50 | too little signal to tell |" in text
    assert "| expression of others: 2 |" in text
    for row in TABLE[TABLE["planted"] == "duplicates"].itertuples():
        assert f"| {row.setting} |" in text
    assert not pd.isna(TABLE["date"]).any()
