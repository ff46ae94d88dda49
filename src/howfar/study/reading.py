"""Read and check study files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from howfar.core.errors import HowfarError
from howfar.study.schema import Eqtl, Study, study_file, study_names

#: Bytes of a study file, and values with aliases written out; a list of all genes has fewer.
_MOST, _VALUES = 1_000_000, 250_000
_MERGE = "tag:yaml.org,2002:merge"  # <<: *other


#: By libyaml where PyYAML has it, many times faster.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 200  # levels; libyaml's loader ends the program at some thousands


class _NoRepeats(_Loader):
    """YAML in which a key that occurs twice is an error, not the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a YAML node; an error where a key stands twice."""
        own = [key for key, _ in node.value if key.tag != _MERGE]  # merged ones may be given anew
        keys = [self.construct_object(key, deep=True) for key in own]
        seen: set[Any] = set()
        for i, key in enumerate(keys):
            with suppress(TypeError):  # a list or mapping, which the loader refuses as a key
                known = len(seen)
                seen.add(key)
                if len(seen) > known:
                    continue
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r} twice", problem_mark=own[i].start_mark
                )
        return super().construct_mapping(node, deep)


def load_study(name: str) -> Study:
    """Read and check a study file.

    name: of a study in ``data/studies``, or a path to a YAML file. Raises HowfarError, with the
    file and the key, for what can't be a study.

    Examples
    --------
    >>> import howfar as hf
    >>> hf.load_study("demo").title
    'The demo cohort'
    """
    path = study_file(name)
    if not path.is_file():
        raise HowfarError(
            str(path),
            found="no such file",
            expected=f"a study file; the project has {', '.join(study_names())}",
            do="Correct the name, or write a study file by `howfar template`.",
        )
    return parse_study(_parsed(path), str(path), path).from_file(path)


def parse_study(values: Any, where: str, file: Path | None = None) -> Study:
    """Return the study that YAML values describe; HowfarError, about `where`, for a wrong key.

    file: the study file, from whose folder relative paths count; None: the current folder.
    """
    try:
        return Study.model_validate(values, context={"file": file})
    except ValidationError as error:
        raise wrong_key(where, error) from error


def _check_depth(text: str) -> None:
    """RecursionError for brackets or blocks in more levels than a study file has."""
    events, depth = _Loader(text), 0
    while events.check_event():
        event = events.get_event()
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise RecursionError("brackets")


def _nodes(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Count the values of a YAML node as if each alias were written out."""
    if id(node) not in known:
        children = getattr(node, "value", ())
        nested = isinstance(node, yaml.CollectionNode)
        pairs = isinstance(node, yaml.MappingNode)
        known[id(node)] = 0  # an alias of a node within itself
        parts = [c for pair in children for c in pair] if pairs else children if nested else []
        known[id(node)] = 1 + sum(_nodes(part, known) for part in parts)
    return known[id(node)]


def _too_large(path: Path, found: str) -> HowfarError:
    return HowfarError(
        str(path),
        found=found,
        expected=f"a study file of at most {_MOST / 1e6:.0f} MB",
        do="Correct the path, or keep long lists in files of their own.",
    )


def _parsed(path: Path) -> Any:
    """What a YAML file holds; HowfarError for text that is not YAML, with the line if known."""
    size = path.stat().st_size
    if size > _MOST:
        raise _too_large(path, f"{size / 1e6:,.1f} MB")
    try:
        text = path.read_text("utf-8")
        _check_depth(text)
        loader = _NoRepeats(text)
        node = loader.get_single_node()
        if _nodes(node, {}) > _VALUES:
            raise _too_large(
                path,
                f"more than {_VALUES:,} values, those that aliases (&, *) stand for among them",
            )
        return None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        said = getattr(error, "problem", None) or str(error).splitlines()[0]
        said = "bytes that are no UTF-8" if isinstance(error, UnicodeDecodeError) else said
        problem = "brackets without end" if isinstance(error, RecursionError) else said
        raise HowfarError(
            f"{path}, line {mark.line + 1}" if mark else str(path),
            found=f"text that is not YAML ({problem})",
            expected="UTF-8 text, YAML as `howfar template` writes it",
            do="Correct that line." if mark else "Correct the file.",
        ) from error


def with_baselines(study: Study, changes: dict[str, Any]) -> Study:
    """The study with other options of its linear models, checked."""
    options = study.baselines.model_dump() | changes
    try:
        changed = Study.model_validate(study.model_dump() | {"baselines": options})
    except ValidationError as error:
        first = error.errors()[0]
        raise HowfarError(
            f"options of the linear models, {'.'.join(map(str, first['loc'])) or 'models'}",
            found=repr(first.get("input") if first["loc"] else changes.get("models")),
            expected=_wanted(first),
            do="Correct the option; `howfar baseline --help` explains each one.",
        ) from error
    return changed.from_file(study._file)


def with_eqtl(study: Study, changes: dict[str, Any]) -> Eqtl:
    """Return the study's options of an eQTL map with others in their place, checked."""
    try:
        return Eqtl.model_validate((study.eqtl or Eqtl()).model_dump() | changes)
    except ValidationError as error:
        first = error.errors()[0]
        raise HowfarError(
            f"--{str(first['loc'][0]).replace('_', '-')}",
            found=f"{first.get('input')!r}",
            expected=first["msg"],
            do="Correct the option.",
        ) from error


#: What a text of each pattern of the models above is, in words.
_PATTERNS = {
    r"^(error|dosage|random\(\d+\))$": "error, dosage, or random(SEED) with a whole number",
    r"^[A-Za-z0-9_][A-Za-z0-9._-]*$": "letters, digits, '.', '_' and '-' alone, the first no '.' "
    "or '-'",
    r"^[a-z0-9_]+$": "lower-case letters, digits and '_' alone",
}


def _wanted(error: dict[str, Any]) -> str:
    """What pydantic expected, in words that need no knowledge of Python."""
    kind, given = error["type"], error.get("ctx", {})
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return "keys and their values, as `howfar template` writes them"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(given["pattern"], given["pattern"])
    if kind == "invalid_key":
        return "keys that are words"
    numbers = {
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
        "float_parsing": "a number",
        "bool_parsing": "true or false",
        "path_type": "a path",
    }
    said = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return numbers.get(kind, said)


def _shown(value: Any) -> str:
    """A value in a message; of a block its keys, of a list its items."""
    if isinstance(value, dict | list):
        kind = "the keys" if isinstance(value, dict) else "a list:"
        return f"{kind} {', '.join(map(str, value))}"[:200] if value else "an empty block or list"
    return repr(value)[:200]


def wrong_key(path: str, error: ValidationError) -> HowfarError:
    """Every key that is wrong; those that don't exist before those that lack for them."""
    first, *others = sorted(error.errors(), key=lambda e: e["type"] != _UNKNOWN)
    more = [f"key {_key(e)} (found {_found(e)}; expected {_expected(e)})" for e in others[:9]]
    more += [f"{len(others) - 9} more"] if len(others) > 9 else []
    return HowfarError(
        f"{path}, key {_key(first)}" if first["loc"] else path,
        found=_found(first),
        expected=_expected(first),
        do="Correct the key; the file that `howfar template` writes explains each one."
        + (f" Wrong too: {', '.join(more)}." if more else ""),
    )


_UNKNOWN = "extra_forbidden"


def _key(error: ErrorDetails) -> str:
    return ".".join(str(part) for part in error["loc"])


def _found(error: ErrorDetails) -> str:
    kinds = {_UNKNOWN: "a key that doesn't exist", "missing": "no such key"}
    value = error.get("input")
    return kinds.get(error["type"], "nothing" if value is None else _shown(value))


def _expected(error: ErrorDetails) -> str:
    unknown = error["type"] == _UNKNOWN
    return "one of those that `howfar template` writes" if unknown else _wanted(error)
