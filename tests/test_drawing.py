"""Trees as text and as HTML: every name is escaped, every tag closed, limits are kept to and told."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from views import pages

import recsketch as rs
from recsketch.runs import drawing

HOSTILE = '<b>&"\x1b[31m\n'
VOID = {"meta"}


class Checked(HTMLParser):
    """Holds that tags nest and close; collects texts, names of tags, and attributes."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.texts = [], [], [], []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        parent = self.open[-1] if self.open else ""
        assert (tag == "li") == (parent == "ul"), f"{tag} in {parent}"
        assert tag != "summary" or parent == "details"
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def drawn(trace):
    return drawing.Drawing(trace.objects, trace.output_ids, trace.output_weights)


def test_html_nests_and_holds_every_object():
    trace = pages()
    html = trace._repr_html_()
    parsed = Checked(html)
    assert parsed.tags.count("meter") == len(trace) == 271
    assert parsed.tags.count("details") == parsed.tags.count("summary") == 8  # one for the list
    assert "script" not in parsed.tags
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert len(html) < 150_000
    meters = [float(v) for name, v in parsed.attributes if name == "value"]
    assert meters[:2] == pytest.approx([1, 1 / 21], abs=5e-4)


def test_names_are_escaped_and_stay_on_one_line():
    trace = rs.Trace()
    trace.outputs([trace.add(HOSTILE, [1.0], inputs=[trace.add(HOSTILE, [2.0])])])
    page = drawing.page(drawn(trace), 10, lambda o: HOSTILE)
    parsed = Checked(drawing.document(HOSTILE, [(HOSTILE, page)]))
    shown = HOSTILE.replace("\x1b", "\\x1b").replace("\n", "\\n")
    assert parsed.texts.count(shown) == 2  # listed; drawn, it is cut
    assert parsed.texts.count(HOSTILE) == 3  # title and headings say what they were told
    assert '<b>&"' not in page
    lines = list(drawing.text(drawn(trace), 10))
    assert lines == [f"{shown} [1]", f"└─ 1.00 {shown} [2]"]


def test_a_document_stands_alone():
    document = drawing.document("runs", [("one", drawing.page(drawn(pages(2, 2)), 9)), ("two", "<p>none</p>")])
    parsed = Checked(document)
    assert document.startswith("<!DOCTYPE html>")
    assert [parsed.tags.count(tag) for tag in ("html", "head", "body", "h1", "h2", "script")] == [1, 1, 1, 1, 2, 1]
    assert "<style" not in document.partition("<body>")[2]
    assert not re.search(r"(src=|href|url|@import)", document)


@pytest.mark.parametrize("most", [1, 2, 5, 7])
def test_limits_are_kept_to_and_told(most):
    trace = pages(2, 2)  # 7 objects
    html = drawing.page(drawn(trace), most)
    lines = list(drawing.text(drawn(trace), most))
    assert Checked(html).tags.count("meter") == most
    assert len(lines) == most + (most < 7)
    plural = "s" if most > 1 else ""
    assert (
        (f"more than {most} object{plural})" in html) == (f"more than {most} line{plural})" in lines[-1]) == (most < 7)
    )


def test_shared_objects_appear_at_every_use():
    trace = rs.Trace()
    x = trace.add("a", [1.0])
    trace.outputs([trace.add("b", [2.0], inputs=[x, x], weights=[3, 1]), x])
    assert list(drawing.text(drawn(trace), 9)) == ["0.50 b [2]", "├─ 0.75 a [1]", "└─ 0.25 a [1]", "0.50 a [1]"]
    assert Checked(drawing.page(drawn(trace), 9)).tags.count("meter") == 4


def test_two_levels_are_open():
    """What lies below them opens with a click; of attributes four elements are shown."""
    trace = rs.Trace()
    below = trace.add("d", np.arange(1.0, 6.0))
    for name in "cba":
        below = trace.add(name, [1.0], inputs=[below])
    trace.outputs([below])
    opened = re.findall(r"<details( open)?><summary><meter [^>]*></meter><b>(\w)</b>", drawing.page(drawn(trace), 9))
    assert opened == [(" open", "a"), (" open", "b"), ("", "c")]
    assert list(drawing.text(drawn(trace), 9))[-1].endswith("d [1 2 3 4 …]")


def test_long_attributes_are_cut():
    assert drawing.numbers(np.arange(4)) == "0 1 2 3"
    assert drawing.numbers(np.arange(5)) == "0 1 2 3 …"
    assert drawing.numbers(np.arange(5), 2) == "0 1 …"
    assert drawing.numbers(np.array([1.0, 1e-7, -2e-3])) == "1 0 -0.002"  # rounding is no digit worth a look
    assert drawing.numbers(np.array([np.nan, 1e-9])) == "nan 1e-09"
