"""What the book's Sphinx extension takes out of style sheets."""

from __future__ import annotations

from types import SimpleNamespace

from howfar.book import theme


def test_style_sheets_keep_what_pages_and_scripts_name(tmp_path):
    static = tmp_path / "_static"
    static.mkdir()
    (tmp_path / "index.html").write_text("<p class='there'>text</p>")
    (static / "menu.js").write_text("e.classList.add('by-script')")
    (static / "a.css").write_text(
        "/* words */ p, .there .gone, .there { a: b; }\n.gone{c:d}"
        "@media (min-width: 9px){.gone{c:d}.by-script{e:f}} .there:not(.gone){g:h} .bs-tip{i:j}"
    )
    theme._trim_styles(SimpleNamespace(outdir=tmp_path), None)
    kept = "".join((static / "a.css").read_text().split())
    assert kept == (
        "p,.there{a:b;}@media(min-width:9px){.by-script{e:f}}.there:not(.gone){g:h}.bs-tip{i:j}"
    )
