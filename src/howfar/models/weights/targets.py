"""The public tables of output tracks of Basenji2 and Enformer.

Tab-separated, one row per track in the order of the network's outputs. Of the columns, `index`
(the track's number, from 0) and `description` ("CAGE:brain, adult, ...") are needed; others, such
as `identifier`, are kept. The human table has 5,313 tracks (Kelley 2020, PLoS Computational
Biology 16:e1008050; Avsec et al. 2021, Nature Methods 18:1196).
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from howfar.core.errors import HowfarError
from howfar.core.project import results_root

HUMAN_TRACKS = 5313
_HUMAN_TABLE = "models/targets_human.txt"  # id in data/sources.csv
_NEEDED = ("index", "description")


def human_tracks(path: Path | None = None) -> pd.DataFrame:
    """Return the tracks of a table: DataFrame indexed by track number, with `description`.

    path: a table; None: the human one that `howfar fetch` brought, which must have 5,313 tracks.
    Raises HowfarError for an absent file, another format, empty descriptions, and numbers that
    are not 0, 1, 2, ...
    """
    if path is not None:
        return read_tracks(path)
    fetched = results_root() / "sources" / _HUMAN_TABLE
    if not fetched.is_file():
        raise HowfarError(
            str(fetched),
            found="no such file",
            expected="the public table of human tracks of Enformer and Basenji2",
            do="Run `howfar fetch basenji2`, or give a table as the option `targets`.",
        )
    tracks = read_tracks(fetched)
    check_number(tracks, HUMAN_TRACKS, fetched)
    return tracks


def read_tracks(path: Path) -> pd.DataFrame:
    """Read the table at `path`, see `human_tracks`; any number of tracks."""
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise _bad(path, f"a file that can't be read ({error})") from error
    lacking = [name for name in _NEEDED if name not in table.columns]
    if lacking or table.empty:
        raise _bad(path, f"no column {' or '.join(lacking)}" if lacking else "no tracks")
    for row, (number, description) in enumerate(zip(*(table[c] for c in _NEEDED), strict=True)):
        if number.strip() != str(row):
            raise _bad(f"{path}, line {row + 2}", f"the index {number!r}", f"{row}, as its place")
        if not description.strip():
            raise _bad(f"{path}, line {row + 2}", "no description", "the track's description")
    return table.drop(columns="index")


def check_number(tracks: pd.DataFrame, number: int, where: str | Path) -> None:
    """HowfarError unless the table has as many tracks as a network has outputs."""
    if len(tracks) != number:
        raise _bad(where, f"{len(tracks):,} tracks", f"{number:,}, one per output of the network")


def _bad(
    where: str | Path,
    found: str,
    expected: str = "a tab-separated table of tracks with the columns index and description",
) -> HowfarError:
    return HowfarError(
        str(where),
        found=found,
        expected=expected,
        do="Give the table that belongs to the weights, whole and in the order of the outputs.",
    )
