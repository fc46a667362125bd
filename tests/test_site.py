"The site: it is whole, its links lead somewhere, and it loads nothing from elsewhere."

import json
import os
import re
import shutil
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest
from conftest import run_in_copy

ROOT = Path(__file__).resolve().parent.parent
pytest.importorskip("mkdocs", reason="the site's packages are not installed")

LOADED = {"script": "src", "img": "src", "iframe": "src", "audio": "src", "source": "src"}
LOADING_RELATIONS = {"stylesheet", "icon", "preload", "preconnect", "prefetch", "modulepreload"}


class QuietHandler(SimpleHTTPRequestHandler):
    "Serves a folder, and says nothing."

    def log_message(self, *_):
        pass


class Page(HTMLParser):
    "What a page links to, what it loads, and the anchors that it has."

    def __init__(self, text: str):
        super().__init__()
        self.links, self.loads, self.anchors = [], [], {""}
        self.relations = set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.anchors |= {found[name] for name in ("id", "name") if found.get(name)}
        relations = set((found.get("rel") or "").split())
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "link":
            self.relations |= relations
            if relations & LOADING_RELATIONS:
                self.loads.append(found["href"])
        if tag in LOADED and LOADED[tag] in found:
            self.loads.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    "The site, built in a copy of the repository."
    copy = run_in_copy(tmp_path_factory.mktemp("site"), "site.py")
    return copy / "_docs"


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    found = sorted(site.rglob("*.html"))
    return {path: Page(path.read_text(encoding="utf-8")) for path in found}


def target_of(page: Path, link: str) -> tuple[Path, str]:
    "The file and the anchor that a link on a page leads to."
    parts = urlsplit(link)
    path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    return (path / "index.html" if path.is_dir() else path), unquote(parts.fragment)


def is_elsewhere(link: str) -> bool:
    return bool(urlsplit(link).scheme or urlsplit(link).netloc)


def test_links_and_anchors_lead_somewhere(site, pages):
    broken = []
    for page, content in pages.items():
        if page.name == "404.html":  # its links are those of the site's root
            continue
        for link in content.links + content.loads:
            if is_elsewhere(link):
                continue
            target, anchor = target_of(page, link)
            known = pages[target].anchors if target in pages else {""}
            if not target.exists() or (target in pages and anchor not in known):
                broken.append((page.relative_to(site).as_posix(), link))
    assert len(pages) > 60 and not broken


def test_pages_load_nothing_from_elsewhere(site, pages):
    for page, content in pages.items():
        loaded = [link for link in content.loads if is_elsewhere(link)]
        assert [link for link in loaded if not link.startswith("data:")] == [], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:url\(|@import)\s*[\"']?https?:", sheet.read_text("utf-8")), sheet


def test_every_notebook_and_module_has_a_page(site, pages):
    for notebook in (ROOT / "nbs").rglob("*.ipynb"):
        if notebook.name != "index.ipynb" and ".ipynb_checkpoints" not in notebook.parts:
            page = site / notebook.relative_to(ROOT).with_suffix(".html")
            assert page in pages, page
    for module in (ROOT / "song_metric").glob("[a-z]*.py"):
        assert site / "api" / f"song_metric.{module.stem}.html" in pages


def test_chapters_follow_each_other(site, pages):
    chapters = sorted((site / "nbs").glob("[0-9][0-9]_*.html"))
    for before, after in zip(chapters, chapters[1:]):
        assert after in [target_of(before, link)[0] for link in pages[before].links]
        assert before in [target_of(after, link)[0] for link in pages[after].links]
        assert {"prev", "next"} <= pages[after].relations


def test_search_and_modules_know_the_functions(site):
    index = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))
    locations = {entry["location"] for entry in index["docs"]}
    assert "api/song_metric.metric.html#song_metric.metric.pool_songs" in locations
    text = (site / "api/song_metric.metric.html").read_text(encoding="utf-8")
    assert "pooling" in text and 'class="doc-signature' in text


def test_formulas_are_drawn_without_a_script(site):
    text = (site / "nbs/03_ali.html").read_text(encoding="utf-8")
    assert "<munder>" in text and "$" not in re.sub(
        r"<(pre|script|code).*?</\1>", "", text, flags=re.S
    )


@pytest.fixture
def address(site):
    "Where the site is served, as its search wants it."
    handler = partial(QuietHandler, directory=site)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_browser_asks_nobody_else_and_finds_a_function(address):
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        assert os.environ.get("SONG_METRIC_BROWSER_TESTS") != "required", "no Chromium"
        pytest.skip("no Chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(120_000)  # milliseconds: machines are shared
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}/nbs/03_ali.html")
        page.fill("input.md-search__input", "pool_songs")
        page.wait_for_selector(".md-search-result__link")
        found = page.eval_on_selector_all(".md-search-result__link", "all => all.map(a => a.href)")
        browser.close()
    assert any("song_metric.metric" in link for link in found)
    assert all(url.startswith((address, "data:", "blob:")) for url in asked), asked
