"""The book's Sphinx extension: folded sections, descriptions for link previews, light pages."""

from __future__ import annotations

import html
import os
import re
import textwrap
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

from howfar.book.markdown import svg_size

#: The picture of a link preview, in ``_static``.
_PICTURE = "central.png"
#: Parts of a page that the theme or an extension writes in a way that screen readers stumble over.
_CORRECTIONS = {
    # A list whose entries are no list items.
    '<div role="list" class="citation-list">': '<div class="citation-list">',
}
#: An image of a page that Sphinx copied.
_IMAGE = re.compile(r'<img (?P<rest>[^>]*src="[^"]*_images/(?P<name>[^"/]+)"[^>]*>)')
_CODE = re.compile(r'<code class="docutils literal notranslate">(.*?)</code>', re.DOTALL)
#: A rule of a style sheet, within whatever block: selectors, and what they set.
_RULE = re.compile(r"([^{}@;]+)(\{[^{}]*\})")
#: Style sheets that only executed notebooks need.
_OF_NOTEBOOKS = "mystnb"


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the extension; called by Sphinx."""
    app.connect("config-inited", _name_version)
    app.connect("doctree-resolved", _fold)
    app.connect("html-page-context", _finish, priority=900)
    app.connect("build-finished", _trim_styles)
    app.connect("config-inited", _share)
    return {"version": version("howfar"), "parallel_read_safe": True, "parallel_write_safe": True}


def _name_version(app: Sphinx, config: Any) -> None:
    config.version = config.release = version("howfar")
    config.html_theme_options["extra_footer"] = f"howfar {version('howfar')}"


def _share(app: Sphinx, config: Any) -> None:
    """Let several processes read and write pages, for which Jupyter Book has no option."""
    app.parallel = min(4, os.cpu_count() or 1)
    for name in ("sphinx_multitoc_numbering", "sphinx_jupyterbook_latex"):
        # Neither says whether it can; neither has anything to do here.
        app.extensions[name].parallel_read_safe = True


def _fold(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Close the sections of a page from that number on which its metadata give as ``fold``."""
    first = app.env.metadata[docname].get("fold")
    sections = [
        section
        for section in doctree.findall(nodes.section)
        if isinstance(section.parent, nodes.section) and section.parent.parent is doctree
    ]
    for section in sections[int(first) - 1 :] if first else []:
        section.insert(0, _raw("<details class='fold'><summary>"))
        section.insert(2, _raw("</summary>"))
        section.append(_raw("</details>"))


def _trim_styles(app: Sphinx, failed: Exception | None) -> None:
    """Take out of the style sheets what no page uses: rules of absent classes, comments, space."""
    static, explorer = Path(app.outdir, "_static"), Path(__file__).with_name("explorer")
    pages = [*Path(app.outdir).rglob("*.html"), *static.rglob("*.js"), *explorer.iterdir()]
    words = {w for page in pages for w in re.findall(r"[\w-]+", page.read_text("utf-8"))}
    for path in () if failed else static.rglob("*.css"):
        text = re.sub(r"/\*.*?\*/|\s+", " ", path.read_text("utf-8"), flags=re.DOTALL)
        path.write_text(_RULE.sub(partial(_if_used, words), text), "utf-8")


def _if_used(words: set[str], rule: re.Match[str]) -> str:
    """Return a rule of a style sheet with the selectors whose classes all occur; or ''."""
    if "(" in rule[1]:  # :not(...), :is(...)
        return rule[0]
    selectors = rule[1].split(",")
    used = [s for s in selectors if all(_occurs(c, words) for c in re.findall(r"\.([\w-]+)", s))]
    return f"{','.join(used)}{rule[2]}" if used else ""


def _occurs(name: str, words: set[str]) -> bool:
    """Whether a class is named in a page or a script, or put together by one."""
    return name in words or name.startswith("bs-") or "tooltip" in name


def _raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def _finish(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Describe a page to search engines and link previews; correct and lighten its HTML."""
    for wrong, right in _CORRECTIONS.items():
        context["body"] = context.get("body", "").replace(wrong, right)
    context["body"] = _CODE.sub(_plain_code, context["body"])
    context["body"] = _IMAGE.sub(partial(_sized, app), context["body"])
    if 'class="cell ' not in context["body"]:
        context["css_files"] = [f for f in context["css_files"] if _OF_NOTEBOOKS not in str(f)]
    if doctree is not None:
        context["metatags"] += _described(context["title"], description(doctree), context)


def _plain_code(found: re.Match[str]) -> str:
    """Take the spans around each word of code away: half of the weight of a page of tables."""
    return f'<code class="literal">{re.sub("</?span[^>]*>", "", found[1])}</code>'


def _sized(app: Sphinx, found: re.Match[str]) -> str:
    """Give a figure its size, and let it load when it is scrolled to."""
    places = {name: path for path, (_, name) in app.env.images.items()}
    name = found["name"]
    path = Path(app.srcdir, places.get(name, ""))
    size = svg_size(path) if path.suffix == ".svg" and path.is_file() else ""
    return f'<img loading="lazy" {size} {found["rest"]}' if size else found[0]


def description(doctree: nodes.document, width: int = 200) -> str:
    """Return the first sentences of a page, at most `width` letters of them."""
    for paragraph in doctree.findall(nodes.paragraph):
        if isinstance(paragraph.parent, nodes.section):
            return textwrap.shorten(paragraph.astext(), width, placeholder=" …")
    return ""


def _described(title: str, text: str, context: dict[str, Any]) -> str:
    picture = context["pathto"](f"_static/{_PICTURE}", 1)
    properties = {"title": title, "description": text, "image": picture, "type": "article"}
    tags = [f'<meta name="description" content="{html.escape(text)}" />'] if text else []
    for name, value in properties.items():
        tags.append(f'<meta property="og:{name}" content="{html.escape(value)}" />')
    return "\n".join(tags)
