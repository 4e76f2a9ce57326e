"""The trace as a page: what it says, what it does not say, and how a browser shows it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from baked import Project
from browser import NO_CHROMIUM, browser, faint, opened, too_wide
from command import Lineage

from lineage.proof.before import counts_in
from lineage.proof.counted import Counted, LeftOut, _count, left_out
from lineage.proof.shown import card, day, number, setting, signed, ticks
from lineage.records.consent import write_snapshot

FIRST, SECOND = "models:/traceable-digits/1", "models:/traceable-digits/2"
CARD = """# A card

It tells digits apart. ![x](http://example.org/x.png) <script>alert(1)</script> [home](https://example.org)
[bad](javascript:alert(1))

| score | value of a column with a long name | another column |
| --- | --- | --- |
| accuracy | 0.9 | 1234567890123456789012345678901234567890 |
"""
WIDTHS = (360, 768, 1280)


@pytest.fixture(scope="module")
def told(linked: Project, tmp_path_factory: pytest.TempPathFactory, lineage: Lineage) -> Project:
    """The linked project, with all that a page can tell: a card, an endpoint, a decision, and one that was forged."""
    project = linked.copy(tmp_path_factory.mktemp("told"))
    client, name = project.store().client, "traceable-digits"
    gates = [{"name": "verified", "state": "PASS", "text": "18 links.", "figures": {}}]
    decision = {
        "kind": "promote",
        "by": "Owner <owner@example.org>",
        "at": "2026-01-02T03:04:05+00:00",
        "reason": "",
        "version": {"number": "2", "identity": project.version_tags("2")["model_identity"]},
        "gates": gates,
        "accepted": [],
    }
    for alias, about in (("champion", decision), ("forged", decision)):
        path = project.root / "promotions" / name / f"{alias}-0001.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(about))
        sha256 = hashlib.sha256(path.read_bytes() if alias == "champion" else b"other bytes").hexdigest()
        tags = {f"{alias}_decision": f"promotions/{name}/{path.name}", f"{alias}_decision_sha256": sha256}
        for tag, value in tags.items():
            client.set_model_version_tag(name, "2", tag, value)
    client.set_model_version_tag(name, "2", "endpoint", "digits-live, digits-shadow")
    client.update_model_version(name, "2", CARD)
    project.commit("Decisions")
    project.git("push", "--quiet", "origin", "main")
    return project


@pytest.fixture(scope="module")
def pages(told: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of one model, of one that was proved, and of several."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {name: folder / f"{name}.html" for name in ("one", "proved", "several")}
    lineage(told, "trace", SECOND, "--html", str(pages["one"]))
    lineage(told, "trace", FIRST, "--verify", "--html", str(pages["proved"]))
    lineage(told, "trace", "data/processed", "--html", str(pages["several"]))
    return pages


@pytest.fixture(scope="module")
def running() -> Iterator[Any]:
    if NO_CHROMIUM:
        pytest.skip(NO_CHROMIUM)
    with browser() as started:
        yield started


class Outline(HTMLParser):
    """Ids, headings, references and badges of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.levels, self.refers, self.badges = list[str](), list[int](), set[str](), list[str]()
        self.attributes: set[str] = set()
        self._in_badge = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.attributes |= found.keys()
        self.ids += [found["id"]] if found.get("id") else []
        self.levels += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.refers |= {name for name in (found.get("aria-labelledby"),) if name}
        self.refers |= {ref[1:] for ref in (found.get("href") or "",) if ref.startswith("#")}
        self._in_badge = "badge" in (found.get("class") or "").split()

    def handle_data(self, data: str) -> None:
        if self._in_badge:
            self.badges.append(data)
            self._in_badge = False


def text_of(page: Path) -> str:
    """What a page says, without its tags."""
    body = page.read_text().partition("<main>")[2]
    return " ".join(re.sub("<[^>]*>", " ", body.replace("<wbr>", "")).split())


def test_a_page_that_nothing_was_proved_for_says_so(pages: dict[str, Path]) -> None:
    outline = Outline(pages["one"].read_text())
    assert outline.badges[0] == "not verified"
    assert outline.badges.count("PASS") == 1  # of the gate of the decision, which says what passed
    assert f"Nothing on this page was proved when it was made. To prove it, run lineage verify {SECOND} ." in text_of(
        pages["one"]
    )
    assert Outline(pages["several"].read_text()).badges[:2] == ["not verified", "not verified"]


def test_a_page_shows_what_was_checked(pages: dict[str, Path]) -> None:
    outline, text = Outline(pages["proved"].read_text()), text_of(pages["proved"])
    assert {*outline.badges} == {"PASS"}
    assert len(outline.badges) == 20  # the verdict, and its links
    assert "properties and tags are those of lineage.json" in text
    assert "Not shown by this: that running this code on these data gives these weights" in text


def test_a_page_of_a_model_that_is_disproved(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    project.sql("UPDATE model_version_tags SET value = ? WHERE key = 'dvc_data_md5' AND version = 1", "0" * 32 + ".dir")
    page = tmp_path / "page.html"
    status, output = lineage.ask(project, "trace", FIRST, "--verify", "--html", str(page))
    assert status == 1
    assert f"{FIRST}  FAIL" in output
    outline = Outline(page.read_text())
    assert outline.badges[0] == "FAIL"
    assert '<details class="fold" open><summary>19 links' in page.read_text()
    commit = project.git("rev-parse", "HEAD~1")
    status, _ = lineage.ask(project, "trace", commit, "--verify", "--html", str(page))
    assert status == 1
    assert Outline(page.read_text()).badges[0] == "FAIL"
    status, output = lineage.ask(project, "trace", "models:/traceable-digits/9", "--verify", "--html", str(page))
    assert status == 2
    assert "INCONCLUSIVE" in output
    assert lineage.ask(project, "trace", FIRST, "--verify")[0] == 2  # of no use without a page


def test_what_a_page_tells_of_parameters_and_of_the_version_before(pages: dict[str, Path], told: Project) -> None:
    text = text_of(pages["one"])
    differing, _, usual = text.partition(" as the default ")
    # train=debug, and two overrides: these are first, with their defaults, and the others are folded
    assert "train.seed 5 1" in differing
    assert "train.weight_decay 1e-05 0.01" in differing
    assert "train.lr 0.02" not in differing.rpartition("differ from the default")[2]
    assert "train.lr 0.02" in usual
    changed = text.partition(f"Changed since {FIRST}")[2].partition("Parameters Default")[0]
    assert "The same: raw data, dataset version." in changed
    assert "train.seed 1 5 +4" in changed
    assert "test.accuracy" in changed
    assert f"lineage diff {FIRST} {SECOND}" in changed
    assert "There is no version before it under this name." in text_of(pages["proved"])
    assert "1,797 records of 320 subjects, counted in the cache here" in text
    assert "nothing: every raw record is in the dataset version" in text
    assert "Tester &lt;tester@example.org&gt;" in text


def test_what_cannot_be_known_is_said_to_be_unknown(linked: Project, lineage: Lineage, tmp_path: Path) -> None:
    clone = linked.clone_without_data(tmp_path / "clone")
    (clone.root / "mlflow.db").write_bytes((linked.root / "mlflow.db").read_bytes())
    clone.git("rm", "-r", "--quiet", "conf/train")
    clone.git("commit", "--quiet", "-m", "Without settings")
    commit = clone.git("rev-parse", "HEAD")
    assert clone.store().client is not None
    clone.sql("UPDATE model_version_tags SET value = ? WHERE key = 'result_git_commit_id' AND version = 2", commit)
    page = tmp_path / "page.html"
    lineage(clone, "trace", SECOND, "--html", str(page))
    text = text_of(page)
    assert "not counted: their bytes are not in the cache here: dvc pull brings them" in text
    assert "left out unknown: how many, and why" in text
    assert "Which of them differ from the default is unknown: conf/ cannot be composed" in text


def test_decisions_endpoints_and_the_card(pages: dict[str, Path]) -> None:
    html, text = pages["one"].read_text(), text_of(pages["one"])
    assert "Decided about @champion Owner &lt;owner@example.org&gt;" in text
    assert "by Owner &lt;owner@example.org&gt;" in text
    assert "gate verified PASS 18 links." in text
    assert "not believed: the file in Git has another SHA-256 than the tag says" in text
    assert "digits-live, digits-shadow" in text
    assert "<h3>A card</h3>" in html
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html
    assert "Decision" not in text_of(pages["proved"])  # nothing is known of one
    assert "Endpoint" not in text_of(pages["proved"])


def test_why_raw_records_are_left_out(tmp_path: Path) -> None:
    owners = ["a", "a", "b", "c", "d"]
    raw, snapshot = tmp_path / "records.parquet", tmp_path / "consent.csv"
    pq.write_table(pa.table({"subject_id": owners, "label": ["x", "y", "x", "x", "x"]}), raw)
    write_snapshot(snapshot, [("a", "active"), ("b", "revoked"), ("c", "active")])
    counted = _count(raw, snapshot)
    assert (counted.records, counted.subjects, counted.classes) == (5, 4, {"x": 4, "y": 1})
    without = LeftOut("without consent", 2, "subjects whose consent is not active: 1; not in the registry: 1")
    sample = {"data.fraction": 0.5, "data.on_bad_record": "error"}
    assert left_out(counted, {"train": 3}, sample, asked_consent=True) == [without]
    assert left_out(counted, {"train": 2}, sample, asked_consent=True) == [
        without,
        LeftOut("not in the sample (data.fraction=0.5)", 1),
    ]
    (skipped,) = left_out(_count(raw, None), {"train": 4}, {"data.on_bad_record": "skip"}, asked_consent=False)
    assert skipped == LeftOut("image not readable (data.on_bad_record=skip)", 1)
    (nobody_knows,) = left_out(_count(raw, None), {"train": 4}, {}, asked_consent=True)
    assert nobody_knows.more == "is unknown: the snapshot is not in the cache"
    assert left_out(counted, {"train": 4}, {}, asked_consent=True)[-1].records is None  # they cannot be right
    assert left_out(Counted(unknown="so"), {"train": 4}, {}, asked_consent=False)[0].more == "so"
    assert left_out(counted, None, {}, asked_consent=False)[0].records is None
    assert counts_in({"train": 3, "test": 0}) == {"train": 3, "test": 0}
    for nonsense in (None, {}, [3], {"train": "3"}, {"train": -1}):
        assert counts_in(nonsense) is None


def test_values_for_people() -> None:
    assert number(1460) == "1,460"
    assert number(0.5) == "0.5"
    exact = "0.010277332134781521"
    assert number(float(exact)) == f'<data class="exact" value="{exact}" title="{exact}">0.01028</data>'
    assert number([0.25, 1]) == "[0.25, 1]"
    assert number(value=True) == "true"
    assert setting(None) == "<em>null</em>"
    assert setting("<b>\u202e") == "&lt;b&gt;\\u202e"
    assert signed(-3) == "-3"
    assert 'title="+0.09411764705882353"' in signed(0.09411764705882353)
    assert day(None) == "<em>unknown</em>"
    assert ">2026-01-02 02:04 UTC<" in day("2026-01-02T03:04:05+01:00")
    assert ">1970-01-01 00:00 UTC<" in day(0)
    assert day("<never>") == "&lt;never&gt;"
    assert "&lt;b&gt;" in card("<b>", 3)
    assert card("## A\n\n### B", 3) == "<h3>A</h3>\n<h4>B</h4>\n"
    assert ticks("run `a<b` now") == "run <code>a&lt;b</code> now"


def test_the_outline_of_a_page(pages: dict[str, Path]) -> None:
    for page in pages.values():
        text = page.read_text()
        outline = Outline(text)
        assert len(outline.ids) == len({*outline.ids})
        assert outline.refers <= {*outline.ids}
        assert outline.levels.count(1) == outline.levels[0] == 1
        assert all(after - before <= 1 for before, after in zip(outline.levels, outline.levels[1:], strict=False))
        assert not [name for name in outline.attributes if name.startswith("on") or name == "src"]
        assert all(word not in text for word in ("<script", "@import", "url(", "{{", "{%"))
        assert len(text) < 200_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_too_wide_or_too_faint(scheme: str, pages: dict[str, Path], running: Any) -> None:
    for name, page in pages.items():
        with opened(running, page.as_uri(), scheme=scheme) as view:
            assert faint(view) == [], name
            for is_open in (False, True):
                view.evaluate("open => document.querySelectorAll('details').forEach(each => each.open = open)", is_open)
                for width in WIDTHS:
                    view.set_viewport_size({"width": width, "height": 900})
                    assert too_wide(view) == [], (name, width, is_open)
            assert faint(view) == [], name


@pytest.mark.parametrize("width", [360, 1280])
def test_every_link_and_fold_works_by_keyboard(width: int, pages: dict[str, Path], running: Any) -> None:
    for name, page in pages.items():
        with opened(running, page.as_uri(), width) as view:
            wanted = view.evaluate("document.querySelectorAll('summary, a[href]').length")
            focused = "document.activeElement"
            reached, opened_folds, followed = 0, 0, 0
            for _ in range(10 * wanted):
                view.keyboard.press("Tab")
                at = view.evaluate(
                    f"""() => {{ const at = {focused}, style = getComputedStyle(at)
                      return [at.tagName, style.outlineStyle, at.getAttribute('href'), at.checkVisibility(),
                              at.getBoundingClientRect().height, at.parentElement && at.parentElement.open] }}"""
                )
                tag, outline, href, is_visible, height, was_open = at
                if tag == "BODY":
                    break
                assert (outline != "none", is_visible, height > 0) == (True, True, True), (name, at)
                reached += tag in ("SUMMARY", "A")
                if tag == "SUMMARY":  # so that Tab then goes on to what is in it
                    view.keyboard.press("Enter")
                    assert view.evaluate(f"{focused}.parentElement.open") is not was_open, (name, at)
                    if was_open:
                        view.keyboard.press("Space")
                    assert view.evaluate(f"{focused}.parentElement.lastElementChild.getBoundingClientRect().height > 0")
                    opened_folds += 1
                elif href and href.startswith("#"):
                    followed += 1
            assert reached == wanted, name
            assert opened_folds == view.evaluate("document.querySelectorAll('summary').length"), name
            assert followed == view.evaluate("document.querySelectorAll('a[href^=\"#\"]').length"), name


def test_every_link_in_a_page_leads_to_its_place(pages: dict[str, Path], running: Any) -> None:
    for name in ("proved", "several"):
        with opened(running, pages[name].as_uri(), 360) as view:
            view.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            links = view.locator("a[href^='#']")
            assert links.count() > 2
            for link in links.all():
                target = link.get_attribute("href")
                link.focus()
                view.keyboard.press("Enter")
                view.wait_for_url(f"**{target}")
                place = view.evaluate(
                    "id => document.getElementById(id).getBoundingClientRect().top / innerHeight", target[1:]
                )
                assert 0 <= place < 1, (name, target, place)


def test_in_print_all_folds_are_open_and_numbers_exact(pages: dict[str, Path], running: Any) -> None:
    with opened(running, pages["one"].as_uri()) as view:
        view.emulate_media(media="print")
        heights = view.evaluate(
            """Array.from(document.querySelectorAll('details > :not(summary)'),
                each => each.getBoundingClientRect().height)"""
        )
        assert len(heights) > 8
        assert min(heights) > 0
        exact = view.evaluate(
            """Array.from(document.querySelectorAll('.exact'),
                each => [each.title, getComputedStyle(each, '::after').content])"""
        )
        assert exact
        assert all(title in content for title, content in exact)
        assert view.pdf(format="A4").startswith(b"%PDF")
