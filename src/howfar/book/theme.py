"""The book's Sphinx extension: folded sections, descriptions for link previews, light pages."""

from __future__ import annotations

import html
import textwrap
from importlib.metadata import version
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

#: The picture of a link preview, in ``_static``.
_PICTURE = "central.png"
#: Parts of a page that the theme or an extension writes in a way that screen readers stumble over.
_CORRECTIONS = {
    # A list whose entries are no list items.
    '<div role="list" class="citation-list">': '<div class="citation-list">',
    # Figures below the first screen load when they are scrolled to.
    "<img alt": '<img loading="lazy" alt',
}
#: Style sheets that only executed notebooks need.
_OF_NOTEBOOKS = "mystnb"


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect the extension; called by Sphinx."""
    app.connect("config-inited", _name_version)
    app.connect("doctree-resolved", _fold)
    app.connect("html-page-context", _finish, priority=900)
    return {"version": version("howfar"), "parallel_read_safe": True, "parallel_write_safe": True}


def _name_version(app: Sphinx, config: Any) -> None:
    config.version = config.release = version("howfar")
    config.html_theme_options["extra_footer"] = f"howfar {version('howfar')}"


def _fold(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Close the sections of a page whose front matter says ``fold``: it is one to look up."""
    if "fold" not in app.env.metadata[docname]:
        return
    for section in doctree.findall(nodes.section):
        if isinstance(section.parent, nodes.section) and section.parent.parent is doctree:
            section.insert(0, _raw("<details class='fold'><summary>"))
            section.insert(2, _raw("</summary>"))
            section.append(_raw("</details>"))


def _raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def _finish(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Describe a page to search engines and link previews; correct and lighten its HTML."""
    for wrong, right in _CORRECTIONS.items():
        context["body"] = context.get("body", "").replace(wrong, right)
    if 'class="cell ' not in context["body"]:
        context["css_files"] = [f for f in context["css_files"] if _OF_NOTEBOOKS not in str(f)]
    if doctree is not None:
        context["metatags"] += _described(context["title"], description(doctree), context)


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
