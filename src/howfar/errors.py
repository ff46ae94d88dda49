"""One shape for every message that stops the work."""

from __future__ import annotations


class HowfarError(Exception):
    """Input or state that can't give a right answer.

    The message always has four parts, so that a reader can act on it without reading code:
    where (file and line or record), what was found, what was expected, what to do.
    """

    def __init__(self, where: str, *, found: str, expected: str, do: str) -> None:
        self.where, self.found, self.expected, self.do = str(where), found, expected, do
        super().__init__(f"{where}: found {found}; expected {expected}. {do}")
