"""Handwritten digits, pages made of them, and a small modular network that reads those pages; traces of services.

Everything is shipped (50 KB) and needs NumPy only. ``README.md`` beside this file names the data's authors and licence.
"""

from recsketch.datasets.digits import Digits, load_digits
from recsketch.datasets.network import FoundLine, PageNetwork, Reading
from recsketch.datasets.pages import Line, Page, make_pages, rescan
from recsketch.datasets.services import agent_traces, shop_traces

__all__ = [
    "Digits",
    "FoundLine",
    "Line",
    "Page",
    "PageNetwork",
    "Reading",
    "agent_traces",
    "load_digits",
    "make_pages",
    "rescan",
    "shop_traces",
]
