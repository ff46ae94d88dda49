"""Files that no test of figures reads are not drawn."""

from pathlib import Path

import pytest

from howfar.figures import style


@pytest.fixture(autouse=True)
def drawn_as_svg(request, monkeypatch) -> None:
    """Leave PNG and PDF empty but in modules that look at all files, and where `files` asks.

    The SVG for a telephone is drawn where figures are `shown`, each once.
    """
    asked = set(request.fixturenames)
    if "files" in asked or ("shown" in asked and hasattr(request.module, "assert_four_files")):
        return
    savefig = style.Drawing.savefig

    def kept(self, path, format="svg", **how):
        return savefig(self, path, format=format, **how) if format == "svg" else path.touch()

    monkeypatch.setattr(style.Drawing, "savefig", kept)
    if "shown" not in asked:
        monkeypatch.setattr(style, "_write_narrow", lambda figure, path: Path(path).touch())


@pytest.fixture
def files() -> None:
    """All files of a figure are drawn."""
