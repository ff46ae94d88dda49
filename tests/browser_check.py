"""Open every page of the built book in headless Chromium and list what is wrong.

python tests/browser_check.py HTML_FOLDER [--screenshots DIR]

The folder is served on loopback. Exit code 1 and a list if a request fails or leaves the server,
a script reports an error, an image is not drawn, a page is wider than the telephone's screen, too
heavy or too tall, axe-core finds something serious, or the search finds nothing. The desktop is
light and the telephone dark, as the system says. Uses the Chromium that is installed ($CHROMIUM, or
`chromium` on the path); downloads nothing.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import os
import shutil
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from axe_playwright_python.base import AXE_SCRIPT
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SCHEMES = {"desktop": "light", "phone": "dark"}
#: Bytes that a page may load before it is scrolled, its figures too.
HEAVIEST = 700_000
#: Height of a page on the desktop, pixels.
TALLEST = 6_000
#: What axe-core finds must be mended if it is one of these.
_HARMFUL = {"serious", "critical"}
#: The guidelines' rules alone; style sheets are not fetched again.
_RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"],
    "resultTypes": ["violations"],
    "preload": False,
}
#: axe, whose rule for the contrast of text, most of its time, looks at what `_ALIKE` marks.
_AXE = Axe(
    AXE_SCRIPT
    + ";axe.configure({rules: [{id: 'color-contrast', selector: '[data-contrast]'}]}); undefined"
)
#: Mark three of all visible elements whose text and everything behind it have the same style (the
#: cells of a table's column, say): the contrast of one is that of all. And fields, whose text is no
#: node. left: what is left out, a selector.
_ALIKE = """(left) => {
    const behind = new Map([[null, '']]);
    const ground = (e) => {
        if (!behind.has(e)) {
            const s = getComputedStyle(e);
            behind.set(e, [ground(e.parentElement), s.backgroundColor, s.backgroundImage, s.opacity,
                s.filter, s.mixBlendMode, s.position, s.zIndex].join('|'));
        }
        return behind.get(e);
    };
    const alike = new Map();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const e = texts.currentNode.parentElement;
        if (!texts.currentNode.data.trim() || !e.checkVisibility({visibilityProperty: true})
            || (left && e.closest(left))) {
            continue;
        }
        const s = getComputedStyle(e);
        const key = [s.color, s.fontSize, s.fontWeight, s.textShadow, ground(e)].join('|');
        if (!alike.has(key)) { alike.set(key, []); }
        alike.get(key).push(e);
    }
    for (const all of alike.values()) {
        for (const at of [0, all.length >> 1, all.length - 1]) {
            all[at].setAttribute('data-contrast', '');
        }
    }
    for (const field of document.querySelectorAll('input, select, textarea')) {
        field.setAttribute('data-contrast', '');
    }
}"""
#: The list of all pages, the same on each.
_CONTENTS = ".bd-sidebar-primary"
#: A word that the book certainly contains, and that a search must find.
WORD = "haplotype"
_UNDRAWN = """() => [...document.images]
    .filter(i => i.getClientRects().length && !(i.complete && i.naturalWidth > 0))
    .map(i => i.currentSrc || i.src)"""
#: Paths of what a page loads before it is scrolled: of the images, those that a browser asks for at
#: most, 2,500 px beyond the screen (what it did ask for depends on how fast it was).
_FIRST_LOADED = """() => {
    const path = (address) => new URL(address, location.href).pathname;
    const far = new Set([...document.images]
        .filter(i => i.getBoundingClientRect().top > innerHeight + 2500)
        .map(i => path(i.currentSrc || i.src)));
    return ['navigation', 'resource']
        .flatMap(kind => performance.getEntriesByType(kind).map(loaded => path(loaded.name)))
        .filter(loaded => !far.has(loaded));
}"""
_LOAD_ALL = """async () => {
    for (const i of document.images) { i.loading = 'eager'; }
    await Promise.all([...document.images].map(i => i.decode().catch(() => {})));
}"""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing for each request."""


@contextmanager
def served(folder: Path):
    """Serve `folder` on a free loopback port; yields the address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def chromium() -> str:
    """Path of the browser: $CHROMIUM, or the first one found on the path."""
    names = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    for name in filter(None, names):
        found = shutil.which(name)
        if found:
            return found
    raise SystemExit("No Chromium found. Install it (Debian: apt-get install chromium).")


def pages(folder: Path) -> list[str]:
    """Every HTML page below `folder`, relative, without the browser-less helper pages."""
    found = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.html"))
    return [p for p in found if not p.startswith(("_static/", "_modules/"))]


def watch(page: Page, base: str, problems: list[str]) -> None:
    """Note what goes wrong while `page` loads."""
    page.on("pageerror", lambda e: problems.append(f"{page.url}: script error: {e}"))

    def failed(request) -> None:
        left = "search.html" in page.url and "ERR_ABORTED" in (request.failure or "")
        if not left:  # the search page reads its hits' texts until one of them is opened
            problems.append(f"{page.url}: request failed: {request.url}")

    def said(message) -> None:
        if message.type == "error":
            problems.append(f"{page.url}: console error: {message.text}")

    def answered(response) -> None:
        if response.status >= 400:
            problems.append(f"{page.url}: {response.status} for {response.url}")

    def asked(request) -> None:
        if not request.url.startswith((base + "/", "data:", "blob:")):
            problems.append(f"{page.url}: request off the server: {request.url}")

    page.on("requestfailed", failed)
    page.on("console", said)
    page.on("response", answered)
    page.on("request", asked)


def check_page(
    page: Page, folder: Path, address: str, problems: list[str], *, contents_too: bool = True
) -> None:
    """Load one page; note undrawn images, its size and weight, and what axe-core finds.

    contents_too: the list of all pages at the side, a third of axe's time, is looked at too.
    """
    page.goto(address, wait_until="load")
    page.evaluate(_LOAD_ALL)
    # The explorer is weighed by `check_gene`; the index of all words is the search page's alone.
    apart = ("/genes/", "/searchindex.js")
    loaded = [p for p in page.evaluate(_FIRST_LOADED) if not p.startswith(apart)]
    sizes = {p: f.stat().st_size for p in loaded if (f := folder / unquote(p[1:])).is_file()}
    weight = sum(sizes.values())
    if weight > HEAVIEST:
        figures = sum(size for path, size in sizes.items() if path.startswith("/_figures/"))
        problems.append(
            f"{address}: {weight / 1000:.0f} kB to load, {figures / 1000:.0f} of figures"
        )
    for source in page.evaluate(_UNDRAWN):
        problems.append(f"{address}: image not drawn: {source}")
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > page.viewport_size["width"] + 1:
        problems.append(f"{address}: {wide} px wide on a screen of {page.viewport_size['width']}")
    high = page.evaluate("document.documentElement.scrollHeight")
    if high > TALLEST and page.viewport_size["width"] == SIZES["desktop"][0]:
        problems.append(f"{address}: {high} px tall")
    page.evaluate(_ALIKE, None if contents_too else _CONTENTS)
    where = None if contents_too else {"exclude": [[_CONTENTS]]}
    for found in _AXE.run(page, context=where, options=_RULES).response["violations"]:
        if found["impact"] in _HARMFUL:
            first = found["nodes"][0]
            problems.append(
                f"{address}: {found['id']} ({found['impact']}) at {len(found['nodes'])} places, "
                f"first {first['target']}: {first['failureSummary'].splitlines()[-1].strip()}"
            )


def check_search(page: Page, base: str, problems: list[str]) -> None:
    """The search page finds `WORD`."""
    address = f"{base}/search.html?q={WORD}"
    answer = page.goto(address, wait_until="load")
    try:
        patience = 10_000 if answer and answer.ok else 1  # milliseconds
        page.wait_for_selector("#search-results ul.search li", timeout=patience)
    except PlaywrightTimeout:
        problems.append(f"{address}: the search finds nothing")


def check_gene(page: Page, folder: Path, base: str, problems: list[str]) -> None:
    """A gene's numbers and people are two clicks from the search box, and light."""
    from howfar.book.genes import FIRST_VIEW, PER_GENE

    data = folder / "genes"
    first = [folder / "genes.html", *(data / n for n in ("genes.js", "genes.css", "names.js"))]
    if sum(path.stat().st_size for path in first) > FIRST_VIEW:
        problems.append(f"{first[0]}: the first view passes {FIRST_VIEW} bytes")
    for path in data.glob("[0-9]*.js"):
        if path.stat().st_size > PER_GENE:
            problems.append(f"{path}: a gene passes {PER_GENE} bytes")
    # A real gene; of the demo where the public tables were not fetched.
    name = "SLFN5" if "|SLFN5|" in first[-1].read_text("utf-8") else "hard0001"
    page.goto(f"{base}/index.html", wait_until="load")
    try:
        page.locator("button.search-button__button:visible").first.click()
        page.keyboard.type(name)
        page.keyboard.press("Enter")
        page.locator(".howfar-genes .hits a").first.click()
        for shown in (f"h2:text-is('{name}')", "svg circle.point", "svg[aria-label*='across']"):
            page.wait_for_selector(shown, timeout=10_000)
    except PlaywrightTimeout:
        problems.append(f"{page.url}: {name} is not found in two clicks with people and numbers")


def open_all(size: str, folder: Path, names: list[str], shots: Path | None) -> list[str]:
    """Every page at one size; returns what is wrong."""
    with served(folder) as base, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        problems = _opened(browser, base, names, size, shots, folder)
        browser.close()
    return problems


def _opened(
    browser: Browser,
    base: str,
    names: list[str],
    size: str,
    shots: Path | None,
    folder: Path,
) -> list[str]:
    problems: list[str] = []
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=SCHEMES[size]
    )
    page = context.new_page()  # one for all: each new one is a new process
    watch(page, base, problems)
    for name in names:
        whole = name in ("index.html", names[-1])
        check_page(page, folder, f"{base}/{name}", problems, contents_too=whole)
        if shots:
            shot = shots / size / (name.removesuffix(".html").replace("/", "__") + ".png")
            shot.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=shot, full_page=True)
    check_search(page, base, problems)
    if "genes.html" in names:
        check_gene(page, folder, base, problems)
    context.close()
    return problems


def check(folder: Path, shots: Path | None = None) -> tuple[int, list[str]]:
    """Open all pages at both sizes at once; returns how many there are and what is wrong."""
    names = pages(folder)
    problems = [] if names else [f"{folder}: no page to open"]
    every = functools.partial(open_all, folder=folder, names=names, shots=shots)
    with ProcessPoolExecutor(len(SIZES)) as workers:
        for found in workers.map(every, SIZES):
            problems += found
    return len(names), list(dict.fromkeys(problems))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the folder with index.html")
    parser.add_argument("--screenshots", type=Path, help="write a picture of every page here")
    given = parser.parse_args()
    n, problems = check(given.folder, given.screenshots)
    for problem in problems:
        print(problem)
    print(f"{n} pages at {len(SIZES)} sizes, {len(problems)} problem(s)")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
