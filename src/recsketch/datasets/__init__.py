"""Handwritten digits, pages made of them, and a small modular network that reads those pages.

Everything is shipped (50 KB) and needs NumPy only. ``README.md`` beside this file names the data's authors and licence.
"""

from recsketch.datasets.digits import Digits, load_digits
from recsketch.datasets.network import FoundLine, PageNetwork, Reading
from recsketch.datasets.pages import Line, Page, make_pages, rescan

__all__ = ["Digits", "FoundLine", "Line", "Page", "PageNetwork", "Reading", "load_digits", "make_pages", "rescan"]
