"""Linear models of xgboost ("gblinear"), read without xgboost.

ExPecto (Zhou et al. 2018, Nature Genetics 50:1171) publishes its tissue models in the binary
format that xgboost wrote up to version 1.x; xgboost since 3.1 refuses it. It is, little-endian:
the letters ``binf``; 136 bytes (float32 base score, uint32 number of inputs, int32 classes);
the objective and the booster's name, each a uint64 length and its letters; 136 bytes (uint32
number of inputs, int32 output groups); a uint64 count; that many float32: the coefficients, then
the bias. The text dump and the JSON of current xgboost are read too.
"""

from __future__ import annotations

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from howfar.core.errors import HowfarError

#: Names of squared error, the only objective whose output is the linear sum itself.
_OBJECTIVES = ("reg:linear", "reg:squarederror")
_HEADER = 136


@dataclass(frozen=True)
class LinearModel:
    """prediction = base_score + bias + coefficients . inputs.

    name: what is predicted, the tissue. coefficients: float64 (inputs,), of float32 precision
    (six digits where they come from a text dump). where: the file.
    """

    name: str
    coefficients: np.ndarray
    bias: float
    base_score: float
    where: str

    @property
    def intercept(self) -> float:
        """The prediction for inputs of zero."""
        return self.base_score + self.bias

    def blocks(self, features: int, n_blocks: int = 10) -> np.ndarray:
        """Return float64 (n_blocks, features): coefficients by block of inputs.

        Two layouts are known: blocks of `features`, and blocks of `features` each with a zero in
        front (20,030 inputs of the models for 2,002 features). HowfarError for any other, and
        where a coefficient of these zeros isn't zero itself.
        """
        n = len(self.coefficients)
        if n == n_blocks * features:
            return self.coefficients.reshape(n_blocks, features)
        if n != n_blocks * (features + 1):
            expected = f"{n_blocks} x {features:,} inputs, or {n_blocks} x {features + 1:,}"
            do = "Use linear models and a Beluga network that belong together."
            raise _wrong(self.where, f"{n:,} inputs", expected, do)
        padded = self.coefficients.reshape(n_blocks, features + 1)
        if padded[:, 0].any():
            expected = f"blocks of {features:,} coefficients with a zero in front"
            found = "a coefficient in front of a block that isn't zero"
            raise _wrong(self.where, found, expected)
        return padded[:, 1:]


def read(path: str | Path, base_score: float | None = None) -> LinearModel:
    """Read the model in a file: legacy binary, JSON, or text dump, told apart by the first bytes.

    base_score: needed for a text dump, which does not hold it; refused for the other formats.
    Raises HowfarError for a truncated file and for any other format or kind of model.
    """
    path = Path(path)
    if not path.is_file():
        raise _wrong(path, "no such file", "a linear model of xgboost")
    if base_score is not None and type(base_score) not in (int, float):
        do = "Correct the model's options."
        raise _wrong("option `base_score`", repr(base_score), "a number", do)
    data = path.read_bytes()
    if data.startswith(b"booster["):
        return _checked(path, *_parse_dump(path, data, base_score))
    if base_score is not None:
        found = f"base_score {base_score:g} for a file that holds its own"
        do = "Leave the option `base_score` out."
        raise _wrong(path, found, "base_score with text dumps only", do)
    if data.startswith(b"binf"):
        return _checked(path, *_parse_legacy(path, data))
    if data.lstrip().startswith(b"{"):
        return _checked(path, *_parse_json(path, data))
    raise _wrong(path, f"a file that begins with {data[:8]!r}", "`binf`, `{` or `booster[0]:`")


def tissue_of(path: str | Path) -> str:
    """Return the tissue in a file name: what follows ``basescore<number>.``, or the whole stem."""
    stem = re.sub(r"\.(save|json|dump|txt)$", "", Path(path).name)
    return re.sub(r"^.*basescore\d+\.", "", stem)


def _wrong(
    where: str | Path,
    found: str,
    expected: str,
    do: str = "Fetch the file again, or name another.",
) -> HowfarError:
    return HowfarError(str(where), found=found, expected=expected, do=do)


def _checked(path: Path, weights: np.ndarray, base_score: float) -> LinearModel:
    """Make the model of `weights` (coefficients, then bias), all finite."""
    if not np.isfinite([*weights, base_score]).all():
        raise _wrong(path, "coefficients that are not finite", "finite numbers")
    *_, bias = weights
    return LinearModel(tissue_of(path), weights[:-1], float(bias), float(base_score), str(path))


class _Bytes:
    """A file's bytes taken from the front; the error of a missing one names its offset."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data, self.at = path, data, 0

    def take(self, size: int, what: str) -> bytes:
        """Return the next `size` bytes; HowfarError names `what` where the file ends first."""
        data = self.data[self.at : self.at + size]
        if len(data) < size:
            found = f"the end of the file at byte {len(self.data):,}"
            expected = f"{what}, {size:,} bytes from byte {self.at:,} (the file is truncated)"
            raise _wrong(self.path, found, expected)
        self.at += size
        return data

    def text(self, what: str, allowed: tuple[str, ...]) -> None:
        """Read a length and letters, which must be one of `allowed`."""
        at = self.at
        (size,) = struct.unpack("<Q", self.take(8, f"the length of the {what}"))
        if size > 64:
            found = f"{size:,} letters"
        else:
            found = self.take(size, f"the {what}").decode("ascii", "replace")
        if found not in allowed:
            raise _wrong(self.path, f"{what} {found!r} at byte {at:,}", " or ".join(allowed))


def _parse_legacy(path: Path, data: bytes) -> tuple[np.ndarray, float]:
    """Read coefficients, then bias; base score."""
    file = _Bytes(path, data)
    file.take(4, "the letters `binf`")
    base_score, inputs, classes = struct.unpack("<fIi", file.take(_HEADER, "the header")[:12])
    file.text("objective", _OBJECTIVES)
    file.text("booster", ("gblinear",))
    at = file.at
    again, groups = struct.unpack("<Ii", file.take(_HEADER, "the booster's header")[:8])
    (count,) = struct.unpack("<Q", file.take(8, "the number of coefficients"))
    if (again, groups, count, classes) != (inputs, 1, inputs + 1, 0):
        found = f"{again:,} inputs, {groups} output groups, {count:,} numbers at byte {at:,}"
        expected = f"{inputs:,} inputs as the header says, one group, one bias, no classes"
        raise _wrong(path, f"{found}, and {classes} classes", expected)
    weights = np.frombuffer(file.take(4 * count, "the coefficients"), "<f4").astype(np.float64)
    if file.at != len(data):
        raise _wrong(path, f"{len(data):,} bytes", f"the file's end at byte {file.at:,}")
    return weights, base_score


def _parse_json(path: Path, data: bytes) -> tuple[np.ndarray, float]:
    try:
        learner = json.loads(data)["learner"]
        kind = learner["gradient_booster"]["name"], learner["objective"]["name"]
        if kind[0] != "gblinear" or kind[1] not in _OBJECTIVES:
            raise _wrong(path, f"booster and objective {kind}", f"gblinear, {_OBJECTIVES}")
        shape = learner["learner_model_param"]
        # a list in brackets since xgboost 3.1
        base_score = float(np.float32(shape["base_score"].strip("[]")))
        weights = np.array(learner["gradient_booster"]["model"]["weights"], np.float32)
        inputs = int(shape["num_feature"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        found = f"no readable JSON of xgboost ({error})"
        raise _wrong(path, found, "a model saved by xgboost as .json") from error
    if weights.shape != (inputs + 1,):
        found = f"{weights.size:,} numbers for {inputs:,} inputs"
        expected = f"{inputs + 1:,}: one coefficient an input, then one bias (one output)"
        raise _wrong(path, found, expected)
    return weights.astype(np.float64), base_score


def _parse_dump(path: Path, data: bytes, base_score: float | None) -> tuple[np.ndarray, float]:
    if base_score is None:
        found = "a text dump, which does not hold the base score"
        do = "Give the option `base_score`, or use the .save or .json file."
        raise _wrong(path, found, "the base score beside it", do)
    lines = data.decode("ascii", "replace").split("\n")
    if lines[0] != "booster[0]:" or lines[1:2] != ["bias:"] or lines[3:4] != ["weight:"]:
        raise _wrong(path, "other lines at the top", "`booster[0]:`, `bias:`, number, `weight:`")
    if lines[-1]:  # no line break at the end: the last number may be cut
        raise _wrong(path, f"line {len(lines)} without its end", "a whole line (truncated file?)")
    numbers = {number: lines[number - 1] for number in (*range(5, len(lines)), 3)}
    for number, text in numbers.items():
        try:
            float(text)
        except ValueError:
            raise _wrong(f"{path}, line {number}", f"{text!r}", "one number") from None
    return np.array([float(text) for text in numbers.values()]), float(base_score)
