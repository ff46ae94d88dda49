"""A model of the user's own: loaded by its path, and checked for what `SequenceModel` promises.

What a model promises isn't what its code does: values of all bins where some were asked for,
axes in another order, or dropout that was left on would each give plausible numbers. So all that
a model says of itself is checked when it is loaded, and its values each time it predicts.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from howfar.core.errors import HowfarError, refused_option
from howfar.core.provenance import digest
from howfar.models.base import Layout, SequenceModel
from howfar.models.engine.options import choose, refused
from howfar.models.engine.sharing import Sharing

#: Of the largest value: how far a window's values may move with the windows beside it.
_ROUNDING = {"bfloat16": 3e-2}
_ROUNDING_FLOAT32 = 1e-3
_CHECKED = 8  # windows of the first that are also predicted without sharing
_ENGINES = {"shared": "shared", "plain": "plain"}
#: What a model says of itself, and of what kind.
_KINDS: dict[str, type] = {
    **dict.fromkeys(("name", "units", "weights_sha256", "precision", "device", "engine"), str),
    "oriented": bool,
    "windows_at_once": int,
    "layout": Layout,
    "tracks": pd.DataFrame,
}


def load_own(path: str, weights: Path | None, device: str, options: dict[str, Any]) -> Any:
    """Load the model at ``package.module:loader``, its values checked from now on.

    The option `engine`, 'shared' where left out or 'plain', is for what calls the model; the loader
    gets it only where it names it. HowfarError where there is no such loader, where it takes other
    arguments, fails, or returns something else than a `SequenceModel` with all that one must say.
    """
    loader = _loader(path)
    engine = "shared"
    if not _names_engine(loader):
        options = dict(options)
        engine = choose(path, "engine", options.pop("engine", "shared"), _ENGINES)
    _check_signature(path, loader, weights, device, options)
    try:
        model = loader(weights, device, **options)
        _check(path, model)
    except (HowfarError, OSError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        raise _not_taken(path, error) or _failed(path, error) from error
    return OwnModel(path, model, weights, loader_version(path, type(model)), engine)


def loader_version(path: str, *classes: type) -> dict[str, int | str]:
    """Return the SHA-256 of the source of each module that decides the model's values.

    These are the loader's modules, and those of the `SequenceModel` classes that it has imported
    or that are given, with the classes that they are made from, and what these modules import of
    what lies beside them; of a class of this package its own version. 'unknown' where a module
    has no source file.
    """
    loader = _loader(path)
    named = import_module(path.partition(":")[0])
    visible = [value for value in vars(named).values() if isinstance(value, type)]
    models = [c for c in (*visible, *classes) if issubclass(c, SequenceModel)]
    version: dict[str, int | str] = {}
    modules = {named.__name__, getattr(loader, "__module__", named.__name__)}
    for each in {base for model in models for base in model.__mro__}:
        if each.__module__.startswith("howfar."):
            version |= getattr(each, "version", {})
        elif issubclass(each, SequenceModel):
            modules.add(each.__module__)
    root = _own_folder(named.__name__)
    for name in sorted(modules):
        _add_imported(name, root, modules)
    return version | {name: _source_digest(name) for name in sorted(modules)}


def _own_folder(module: str) -> Path | None:
    """The folder from which Python imports a module; of an installed package its own."""
    file = _source_file(module)
    if file is None:
        return None
    root = file.parents[module.count(".") + (file.name == "__init__.py")]
    return root / module.partition(".")[0] if root.name.endswith("-packages") else root


def _add_imported(module: str, root: Path | None, known: set[str]) -> None:
    """Add the modules below `root` that a module imports, and so on with them."""
    file = _source_file(module)
    if file is None or root is None:
        return
    try:
        package = getattr(sys.modules.get(module), "__package__", None) or ""
        names = _imported_names(file.read_bytes(), package)
    except (SyntaxError, ValueError):  # compiled code
        return
    for name in names:
        other = _source_file(name)
        if other is None or name in known or not other.is_relative_to(root):
            continue
        if "site-packages" not in other.relative_to(root).parts:  # an environment in the folder
            known.add(name)
            _add_imported(name, root, known)


@lru_cache(maxsize=256)
def _imported_names(source: bytes, package: str) -> list[str]:
    """Names after `import` and `from`, of things in modules too; those within functions as well."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            with suppress(ImportError):
                base = resolve_name(base, package)
                names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return names


def _source_file(module: str) -> Path | None:
    """The source file of a module, imported or not; None where there is none to be found."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        with suppress(ImportError, ValueError, AttributeError):
            file = _origin(module)
    return Path(file).resolve() if file and Path(file).is_file() else None


def _origin(module: str) -> str | None:
    """Where Python would import a module from; nothing is imported, its packages neither."""
    spec, folders, parts = None, None, module.split(".")
    for i in range(len(parts)):
        spec = PathFinder.find_spec(".".join(parts[: i + 1]), folders)
        if spec is None or (spec.submodule_search_locations is None and i + 1 < len(parts)):
            return None
        folders = spec.submodule_search_locations
    return spec and spec.origin


def _source_digest(module: str) -> str:
    file = _source_file(module)
    return "unknown" if file is None else digest(file)


def _loader(path: str) -> Any:
    module, _, attribute = path.partition(":")
    try:
        found = getattr(import_module(module), attribute)
        if callable(found):
            return found
        words = f"{attribute}, a {type(found).__name__}, which can't be called"
    except (Exception, SystemExit) as error:  # whatever the user's module does when imported
        plain = isinstance(error, (ImportError, AttributeError)) or module[:1] in ("", ".")
        words = str(error) if plain else _describe(error)
    raise HowfarError(
        f"model {path!r}",
        found=words,
        expected="package.module:loader, of a module that Python finds and can import",
        do="Correct the run's `model` in the study file, or the module; its folder may have to be "
        "added to PYTHONPATH.",
    )


def _names_engine(loader: Any) -> bool:
    with suppress(TypeError, ValueError):  # a function without a signature that can be looked at
        return "engine" in inspect.signature(loader).parameters
    return False


def _check_signature(
    path: str, loader: Any, weights: Path | None, device: str, options: dict[str, Any]
) -> None:
    try:
        inspect.signature(loader).bind(weights, device, **options)
    except TypeError as error:
        raise _bad(
            path,
            f"a loader that doesn't take what it is given ({error})",
            f"loader(weights, device, {', '.join([*options, '**options'])})",
            "Correct the loader's arguments, or the run's `options`.",
        ) from error
    except ValueError:
        pass  # a function without a signature that can be looked at


def _not_taken(path: str, error: BaseException) -> HowfarError | None:
    """Return the error for an option that the loader hands on and the model doesn't take."""
    if not isinstance(error, TypeError) or "unexpected keyword argument" not in str(error):
        return None
    return refused(f"model {path!r}", refused_option(error))


def _bad(path: str, found: str, expected: str, do: str = "Correct the model.") -> HowfarError:
    return HowfarError(f"model {path!r}", found=found, expected=expected, do=do)


def _describe(error: BaseException) -> str:
    """Describe an error of the user's code: kind, message, and the line of code it is from."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    words = " ".join(str(error).split())[:200]
    return f"{type(error).__name__} at {last.filename}, line {last.lineno} ({words})"


def _failed(path: str, error: BaseException) -> HowfarError:
    return _bad(path, _describe(error), "code that runs to its end")


def _check(path: str, model: Any) -> None:
    """HowfarError unless `model` says of itself all that a `SequenceModel` must."""
    if not isinstance(model, SequenceModel):
        raise _bad(
            path,
            f"a loader that returns {'nothing' if model is None else type(model).__name__}",
            "a howfar.models.SequenceModel",
            "Return the model from the loader, of a subclass of SequenceModel.",
        )
    for name, kind in _KINDS.items():
        value = getattr(model, name, None)
        if not isinstance(value, kind) or value is False is kind or (kind is str and not value):
            raise _bad(path, f"`{name}`: {_shown(value)}", f"a {kind.__name__}, as SequenceModel")
    if model.windows_at_once < 1:
        raise _bad(path, f"`windows_at_once`: {model.windows_at_once}", "1 or more")
    _check_layout(path, model)
    _check_tracks(path, model.tracks)


def _shown(value: Any) -> str:
    return "nothing" if value is None or value == "" else f"a {type(value).__name__}"


def _check_layout(path: str, model: SequenceModel) -> None:
    """Check that bins lie inside the window, and the TSS on a base of it."""
    layout = model.layout
    numbers = (layout.context, layout.bin_size, layout.n_bins, layout.first_base)
    whole = all(isinstance(n, (int, np.integer)) for n in numbers)
    if not whole or min(numbers[:3]) < 1 or layout.first_base < 0:
        raise _bad(path, f"{layout}", "whole numbers above zero (first_base: zero or more)")
    end = layout.first_base + layout.n_bins * layout.bin_size
    if end > layout.context:
        found = f"{layout}, whose last bin ends at base {end:,}"
        raise _bad(path, found, f"bins inside the window of {layout.context:,} bp")
    for strand in "+-":
        index = model.tss_index(strand)
        if not isinstance(index, (int, np.integer)) or not 0 <= index < layout.context:
            found = f"tss_index({strand!r}) of {index!r}"
            raise _bad(path, found, f"a base from 0 to {layout.context - 1}")


def _check_tracks(path: str, tracks: pd.DataFrame) -> None:
    numbers = pd.api.types.is_integer_dtype(tracks.index) and tracks.index.is_unique
    if "description" in tracks and len(tracks) and numbers:
        return
    raise _bad(
        path,
        f"`tracks` of {len(tracks):,} rows with the columns {', '.join(map(str, tracks))}",
        "one row or more, a column `description`, and whole numbers, each once, as the index",
    )


class OwnModel:
    """A `SequenceModel` of the user's own whose values are checked; all else is the model's own."""

    def __init__(
        self,
        path: str,
        model: SequenceModel,
        weights: Path | None = None,
        version: Mapping[str, int | str] | None = None,
        engine: str = "plain",
    ) -> None:
        """path: ``package.module:loader``, for messages. weights: what the model was loaded from.

        `weights_sha256` then depends on these files too, whatever the model says, so that a run
        doesn't go on with other weights under the same checksum. version: of the model's code.
        engine: 'shared' to compute what its network has in common for several windows once.
        """
        self._path, self._model = path, model
        #: Whether the first windows were compared with the plain way.
        self.compared = False
        self._sharing = Sharing(model, engine)
        self.weights_sha256 = _checksum(model.weights_sha256, weights)
        self.version = dict(version or model.version)

    @property
    def engine(self) -> str:
        """'shared' where windows share work; the network is looked at when this is first asked."""
        return "shared" if self._sharing.modules else self._model.engine

    @property
    def notes(self) -> tuple[str, ...]:
        """How the network is shared, or why it isn't, in a sentence; and the model's own notes."""
        return (*self._sharing.notes, *getattr(self._model, "notes", ()))

    def __getattr__(self, name: str) -> Any:
        """Return what the model itself says."""
        if name == "_model":  # of a copy that isn't filled yet
            raise AttributeError(name)
        return getattr(self._model, name)

    def predict(
        self, windows: np.ndarray, bins: Sequence[int], tracks: Sequence[int]
    ) -> np.ndarray:
        """Predict float32 (n, bins, tracks); see `SequenceModel`.

        The first window that is ever predicted is predicted again by itself: HowfarError where
        its values then differ by more than rounding, as they do with dropout or random numbers,
        and where values have another shape or are no numbers. Some of the first windows are
        predicted without sharing as well; where that differs, nothing is shared from then on.
        """
        with self._sharing.on():
            values = self._values(windows, bins, tracks)
        if not len(windows) or self.compared:
            return values
        self.compared = True
        some = np.unique(np.linspace(0, len(windows) - 1, _CHECKED).astype(int))
        plain = self._values(windows[some], bins, tracks) if self._sharing.modules else values[some]
        self._check_alone(plain[:1], self._values(windows[:1], bins, tracks))
        if self._sharing.agrees(values[some], plain):
            return values
        return self._values(windows, bins, tracks)

    def _values(
        self, windows: np.ndarray, bins: Sequence[int], tracks: Sequence[int]
    ) -> np.ndarray:
        try:
            values = _array(self._model.predict(windows, bins, tracks))
        except (HowfarError, OSError, MemoryError):
            raise
        except (Exception, SystemExit) as error:
            raise _failed(self._path, error) from error
        shape = (len(windows), len(bins), len(tracks))
        if values.shape != shape or values.dtype.kind not in "fiu":
            raise _bad(
                self._path,
                f"values of shape {values.shape}, {values.dtype}",
                f"shape {shape} (windows, bins and tracks asked for), float32",
                "Correct the model's `predict`.",
            )
        return values.astype(np.float32)

    def _check_alone(self, together: np.ndarray, alone: np.ndarray) -> None:
        finite = np.abs(together[np.isfinite(together)])
        allowed = _ROUNDING.get(self._model.precision, _ROUNDING_FLOAT32) * finite.max(initial=0)
        apart = np.abs(together - alone)[np.isfinite(together) & np.isfinite(alone)]
        if apart.max(initial=0) <= allowed:
            return
        raise _bad(
            self._path,
            f"values that change by up to {apart.max():.2g} when a window is predicted again by "
            "itself",
            "values that depend on the window alone",
            "Put the network in evaluation mode (`.eval()`), and use no random numbers and nothing "
            "of the other windows of a batch.",
        )


def _checksum(stated: str, weights: Path | None) -> str:
    """Join what the model states with the checksums of its files where these say more."""
    if weights is None:
        return stated
    files = sorted(p for p in weights.rglob("*") if p.is_file()) if weights.is_dir() else [weights]
    sums = [digest(file) for file in files if file.is_file()]
    if set(sums) <= {stated}:
        return stated
    return hashlib.sha256("\n".join([stated, *sums]).encode()).hexdigest()


def _array(values: Any) -> np.ndarray:
    """Make a NumPy array of what `predict` returned; tensors may be on any device and need grad."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)
