"""A page as a browser shows it: Debian's Chromium without a window, driven over its DevTools protocol."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
NO_CHROMIUM = "" if CHROMIUM else "a page is looked at in Chromium, which no lock can bring; `apt install chromium`"


@contextmanager
def browser() -> Iterator[Any]:
    """A browser that ends with the block. It is given no network: see `opened`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # its sandbox is not for root, and the shared memory of a container is small
        options = ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb"]
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield running
        running.close()


@contextmanager
def opened(running: Any, address: str, width: int = 1280, scheme: str = "light") -> Iterator[Any]:
    """A page in a window of this width, without scripts or a network. It fails if it asks for anything else."""
    context = running.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",  # a link leads to its place at once
        java_script_enabled=False,
        offline=True,
    )
    page, asked = context.new_page(), list[str]()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    yield page
    assert {url.partition("#")[0] for url in asked} == {address}, asked
    context.close()


def too_wide(page: Any) -> list[str]:
    """What is wider than the window, and so would make people scroll sideways."""
    found: list[str] = page.evaluate(
        """() => {
          const root = document.scrollingElement, wide = root.clientWidth
          if (root.scrollWidth <= wide) return []
          const right = each => each.getBoundingClientRect().right
          const out = [...document.querySelectorAll('body *')].filter(each => right(each) > wide + 1)
          return [`${root.scrollWidth} of ${wide} px`, ...out.slice(0, 5).map(each => each.outerHTML.slice(0, 120))]
        }"""
    )
    return found


def faint(page: Any) -> list[str]:
    """Text with less contrast than WCAG asks for (AA, 4.5 to 1), with its contrast."""
    found: list[str] = page.evaluate(
        """() => {
          const rgb = text => text.match(/[\\d.]+/g).map(Number)
          const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0)
          const behind = each => {
            for (; each; each = each.parentElement) {
              const colour = rgb(getComputedStyle(each).backgroundColor)
              if (colour.length === 3 || colour[3] === 1) return colour
            }
            return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255]
          }
          const said = [...document.querySelectorAll('body *')].filter(each => each.checkVisibility() &&
            [...each.childNodes].some(node => node.nodeType === 3 && node.textContent.trim()))
          return said.map(each => {
            const [a, b] = [light(rgb(getComputedStyle(each).color)), light(behind(each))].sort((x, y) => y - x)
            return [(a + 0.05) / (b + 0.05), each.textContent.trim().slice(0, 40)]
          }).filter(([ratio]) => ratio < 4.5).map(([ratio, text]) => `${ratio.toFixed(1)}: ${text}`)
        }"""
    )
    return found
