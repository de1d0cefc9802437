# SPDX-License-Identifier: GPL-2.0-only
"""SVG and HTML reports of a real leak in a real browser: zoom, search, keys, the findings, light
and dark, narrow, without scripts. Pictures of all of it stay in build/artifacts."""

import os
import signal
import tempfile
import time
import xml.etree.ElementTree
from contextlib import contextmanager

from browser import Browser, find_program
from harness import (SOURCES, Observer, Workload, check_unharmed, read_text, require,
                     wait_for)
from registry import test

LEAKY = {"leak_site_a", "leak_site_b", "leak_site_c"}

# What the page shows of its flame graph, read from the screen and not from the document.
BOXES = """Array.from(document.querySelectorAll('svg.graph g.f')).map(function (g) {
    var shown = g.querySelector('rect').getBoundingClientRect();
    var graph = g.closest('svg.graph').getBoundingClientRect();
    var frame = g.querySelector('svg').getBoundingClientRect(), text = g.querySelector('text');
    return {name: g.querySelector('title').textContent.split('\\n')[0],
            title: g.querySelector('title').textContent,
            classes: g.getAttribute('class').split(' '),
            label: text ? text.textContent : '', x: shown.x + Math.min(shown.width, 1000) / 2,
            left: shown.left, width: shown.width, y: shown.y + shown.height / 2,
            textWidth: text ? text.getComputedTextLength() : 0, graph: graph.width,
            clipped: getComputedStyle(g.querySelector('svg')).overflow === 'hidden',
            opacity: Number(getComputedStyle(g).opacity),
            fill: getComputedStyle(g.querySelector('rect')).fill};
})"""


def report_of(form, wanted):
    """A file, for the caller to remove, with the first report that has the wanted text."""
    find_program()
    with Workload("leaky_server") as workload, \
            Observer(pid=workload.pid, form=form, interval="0.25") as observer:
        observer.wait_ready()
        workload.start_phase("go")

        def report():
            time.sleep(0.25)  # not to make a poll of each look
            observer.process.send_signal(signal.SIGUSR1)
            text = read_text(observer.output) if os.path.exists(observer.output) else ""
            return wanted in text and text
        text = wait_for(report, f"{wanted} in the report")
        observer.interrupt()
        observer.wait_end()
        workload.wait_line("done go")
        workload.phase("quiet")
        check_unharmed(workload, observer)
        workload.end()
    with tempfile.NamedTemporaryFile("w", suffix=f".{form}", prefix="leakbpf-", delete=False,
                                     encoding="utf-8") as file:
        file.write(text)
    return file.name


@contextmanager
def shown(form, wanted):
    path = report_of(form, wanted)
    try:
        with Browser() as browser:
            browser.set_scheme("light")
            browser.open(path)
            yield browser, path
            browser.check_quiet()
    finally:
        os.unlink(path)


def boxes_of(browser):
    return browser.evaluate(BOXES)


def visible(boxes):
    return [box for box in boxes if box["width"] > 0]


def box_named(browser, name):
    found = [box for box in boxes_of(browser) if box["name"] == name]
    require(found, f"no box {name}")
    return max(found, key=lambda box: box["width"])


def scroll_to_graph(browser):
    browser.evaluate("document.querySelector('svg.tools').scrollIntoView()")


def check_layout(browser, what):
    """Boxes lie inside their graph, and labels inside their boxes."""
    for box in visible(boxes_of(browser)):
        require(box["width"] <= box["graph"] + 0.5, f"{what}: wider than the graph: {box}")
        require(not box["label"] or box["textWidth"] <= box["width"] + 0.5,
                f"{what}: the label sticks out: {box}")


def check_zoom(browser):
    """A click makes the frame as wide as the graph; Esc undoes it."""
    scroll_to_graph(browser)
    before = box_named(browser, "leak_site_b")
    require(before["width"] < before["graph"] * 0.5, f"leak_site_b is wide already: {before}")
    browser.click(before["left"] + before["width"] / 2, before["y"])
    after = box_named(browser, "leak_site_b")
    require(abs(after["width"] - after["graph"]) < 1, f"a click did not zoom: {after}")
    require(after["label"] == "leak_site_b", f"its name has room now: {after}")
    names = {box["name"] for box in visible(boxes_of(browser))}
    require("handle_request" in names and "leak_site_a" not in names, f"after the zoom: {names}")
    info = browser.evaluate("document.querySelector('.bar .info').textContent")
    require("leak_site_b" in info and "leaky_server.c" in info and "%" in info, f"info: {info}")
    browser.press("Escape")
    require(abs(box_named(browser, "leak_site_b")["width"] - before["width"]) < 1, "Esc: no reset")


def check_keys(browser):
    """Arrow keys walk to the frame, Enter zooms."""
    browser.evaluate("document.querySelector('svg.graph').focus()")
    for _ in range(3):
        browser.press("ArrowDown")
    here = [box for box in boxes_of(browser) if "here" in box["classes"]]
    require(len(here) == 1, f"one frame is selected: {here}")
    browser.press("ArrowUp")
    browser.press("Enter")
    zoomed = [box for box in boxes_of(browser) if "here" in box["classes"]][0]
    require(abs(zoomed["width"] - zoomed["graph"]) < 1, f"Enter did not zoom: {zoomed}")
    browser.press("Escape")


def check_search(browser, with_key):
    """What matches is marked and nothing else; the share is that of the boxes that match."""
    if with_key:
        browser.press("f", modifiers=2)
    else:
        browser.evaluate("document.querySelector('.bar input').focus()")
    browser.type("LEAK_site")
    boxes = visible(boxes_of(browser))
    for box in boxes:
        matches = "leak_site" in box["title"].rsplit("\n", 1)[0].lower()
        require(("hit" in box["classes"]) == matches, f"marked or not: {box}")
        require((box["opacity"] == 1) == matches, f"faded or not: {box}")
    hits = [box for box in boxes if box["name"] in LEAKY]
    require({box["name"] for box in hits} == LEAKY, f"found: {hits}")
    require(len({box["fill"] for box in hits}) == 1, "what is found has one colour")
    share = 100 * sum(box["width"] for box in hits) / hits[0]["graph"]
    said = browser.evaluate("document.querySelector('.bar .matched').textContent")
    require(said.startswith("matched: ") and
            abs(float(said.split()[1]) - share) < 0.3, f"{said}, but drawn is {share:.1f} %")


def reset_by_button(browser):
    place = browser.evaluate("(function () { var r = document.querySelector('.bar button')"
                             ".getBoundingClientRect(); return [r.x + 9, r.y + 9]; })()")
    browser.click(*place)
    hits = [box for box in boxes_of(browser) if "hit" in box["classes"]]
    require(not hits, f"Reset: still marked: {hits}")


# Text and what it stands on, for every colour that a frame, a chip or a line of the page may have.
PAIRS = """(function () {
    var box = document.querySelector('svg.graph g.f'), was = box.getAttribute('class'), pairs = [];
    var rect = box.querySelector('rect'), text = box.querySelector('text');
    var classes = 'q s1 s2 s3 s4 g1 g2 g3 g4 l1 l2 l3 l4 r1 r2 r3 r4 b1 b2 b3 b4 q,hit'.split(' ');
    var texts = document.querySelectorAll(
        '.chip, .faint, .small, .place, .stack, dt, .notice, th');
    classes.forEach(function (c) {
        box.setAttribute('class', 'f ' + c.replace(',', ' '));
        pairs.push([c, getComputedStyle(text).fill, getComputedStyle(rect).fill]);
    });
    box.setAttribute('class', was);
    texts.forEach(function (e) {
        var under = e;
        while (getComputedStyle(under).backgroundColor === 'rgba(0, 0, 0, 0)')
            under = under.parentElement;
        if (!e.classList.contains('none'))
            pairs.push([e.className || e.tagName, getComputedStyle(e).color,
                        getComputedStyle(under).backgroundColor]);
    });
    return pairs; })()"""


def relative_luminance(colour):
    """WCAG 2.1, relative luminance."""
    parts = [int(part) / 255 for part in colour.strip("rgba()").split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
                        for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def check_contrast(browser, what):
    for name, ink, back in browser.evaluate(PAIRS):
        low, high = sorted((relative_luminance(ink), relative_luminance(back)))
        ratio = (high + 0.05) / (low + 0.05)
        require(ratio >= 4.5, f"{what}: {name}: {ink} on {back} has a contrast of {ratio:.2f}")


def luminance(browser, selector, what):
    colour = browser.evaluate(f"getComputedStyle(document.querySelector({selector!r})).{what}")
    return sum(int(part) for part in colour.strip("rgba()").split(",")[:3]) / 3


@test(name="browser.svg")
def browser_svg():
    with shown("svg", 'class="f l4') as (browser, path):
        xml.etree.ElementTree.parse(path)  # it is well-formed
        leaks = [box for box in boxes_of(browser) if box["name"] in LEAKY]
        require(LEAKY == {box["name"] for box in leaks}, f"the leaks are drawn: {leaks}")
        require(any("l4" in box["classes"] for box in leaks), f"the leaks are red: {leaks}")
        require(boxes_of(browser)[0]["name"] == "all", "the root comes first")
        require("leaky_server.c:" in leaks[0]["title"], f"file and line: {leaks[0]['title']}")
        check_layout(browser, "wide")
        browser.screenshot("svg-light")
        check_zoom(browser)
        check_keys(browser)
        check_search(browser, with_key=True)
        browser.screenshot("svg-search")
        reset_by_button(browser)
        light = luminance(browser, "svg.flame .back", "fill")
        browser.set_scheme("dark")
        require(luminance(browser, "svg.flame .back", "fill") < 64 < 192 < light, "no dark scheme")
        browser.screenshot("svg-dark")
        browser.open(path, width=390)
        check_layout(browser, "narrow")
        browser.screenshot("svg-narrow")


@test(name="browser.svg_without_scripts")
def browser_svg_without_scripts():
    """The layout is right by itself."""
    with shown("svg", "leak_site_c") as (browser, path):
        scripted = {(box["name"], box["y"]): box["width"] / box["graph"]
                    for box in boxes_of(browser)}
        browser.set_scripts(False)
        browser.open(path)
        require(browser.evaluate("document.querySelector('.bar')") is None, "scripts run")
        boxes = boxes_of(browser)
        require(len(boxes) >= len(scripted), "boxes are missing")
        for box in boxes:
            require(abs(scripted[box["name"], box["y"]] - box["width"] / box["graph"]) < 0.5,
                    f"placed otherwise than with scripts: {box}")
            require(box["clipped"], f"its label may stick out: {box}")
        browser.screenshot("svg-without-scripts")


def finding_rows(browser):
    return browser.evaluate("""Array.from(document.querySelectorAll('tbody.finding')).map(
        function (t) { return {text: t.querySelector('.row').innerText,
                               open: t.querySelector('.more').getBoundingClientRect().height > 0,
                               said: t.querySelector('.open').getAttribute('aria-expanded')}; })""")


def check_findings(browser):
    rows = finding_rows(browser)
    require(len(rows) >= 3, f"findings: {rows}")
    require(LEAKY <= {name for name in LEAKY for row in rows if name in row["text"]},
            f"the leaks are in the table: {rows}")
    require("leaking" in rows[0]["text"] and "leaky_server.c:" in rows[0]["text"], f"{rows[0]}")
    require([row["open"] for row in rows] == [True] + [False] * (len(rows) - 1),
            f"only the first one is open: {rows}")
    browser.click(*browser.evaluate("""(function () {
        var button = document.querySelectorAll('.open')[1], place;
        button.scrollIntoView({block: 'center'});
        place = button.getBoundingClientRect();
        return [place.x + 30, place.y + 8]; })()"""))
    row = finding_rows(browser)[1]
    require(row["open"] and row["said"] == "true", f"a click opens: {row}")
    inside = browser.evaluate("""(function () {
        var more = document.querySelectorAll('.more')[1];
        var curve = more.querySelector('.plot .curve');
        return {stack: more.querySelector('.stack').innerText,
                blamed: more.querySelector('.blamed').innerText,
                points: curve.getAttribute('points').split(' ').length}; })()""")
    require("handle_request" in inside["stack"] and "leak_site" in inside["blamed"] and
            inside["points"] >= 6, f"inside the finding: {inside}")
    browser.evaluate("document.querySelectorAll('.open')[1].focus()")
    browser.press("Enter")
    browser.call("Input.dispatchKeyEvent", type="char", text="\r")
    wait_for(lambda: not finding_rows(browser)[1]["open"], "the key that closes it again", 10)


def check_page_fits(browser, width):
    wide = browser.evaluate("document.documentElement.scrollWidth")
    require(wide <= width, f"{wide} pixels wide in a window of {width}")


@test(name="browser.html")
def browser_html():
    with shown("html", "3 leaking sites") as (browser, path):
        headline = browser.evaluate("document.querySelector('h1').textContent")
        require("3 leaking sites" in headline, headline)
        browser.screenshot("html-light")
        check_findings(browser)
        check_layout(browser, "in the page")
        check_zoom(browser)
        check_search(browser, with_key=False)
        reset_by_button(browser)
        text = browser.evaluate("document.body.innerText")
        for words in ("How complete this is", "Processes", "Outstanding since the start"):
            require(words in text, f"not in the page: {words}")
        check_contrast(browser, "light")
        light = luminance(browser, "body", "backgroundColor")
        browser.set_scheme("dark")
        require(luminance(browser, "body", "backgroundColor") < 64 < 192 < light, "no dark scheme")
        check_contrast(browser, "dark")
        browser.screenshot("html-dark")
        browser.set_scheme("light")
        for width in (390, 700, 1600):
            browser.open(path, width=width)
            check_page_fits(browser, width)
            check_layout(browser, f"{width} pixels")
            browser.screenshot(f"html-{width}")
        browser.set_scripts(False)
        browser.open(path)
        require(all(row["open"] for row in finding_rows(browser)), "all is open without scripts")


@test(name="browser.hostile_names")
def browser_hostile_names():
    """The reports of the unit tests, full of names that try to break out, in a real parser."""
    golden = os.path.join(SOURCES, "tests", "golden")
    for name in ("flame.svg", "flame-difference.svg"):
        xml.etree.ElementTree.parse(os.path.join(golden, name))
    with Browser() as browser:
        for name in ("flame.svg", "report.html"):
            browser.open(os.path.abspath(os.path.join(golden, name)))
            tags = browser.evaluate("Array.from(document.querySelectorAll('*')).map("
                                    "function (e) { return e.localName; })")
            require(tags.count("script") == 1 and "img" not in tags and len(tags) > 50,
                    f"{name}: {tags}")
            attributes = browser.evaluate(
                "Array.from(document.querySelectorAll('*')).map(function (e) {"
                " return e.getAttributeNames().join(' '); }).join(' ')")
            require("onerror" not in attributes, f"{name}: {attributes}")
            require("alert(1)" in browser.evaluate("document.documentElement.textContent"), name)
            browser.check_quiet()
