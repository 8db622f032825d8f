"""The colours of pages, light and dark. Kinds are told apart by colour-blind readers, and never by colour alone.

Hues are those of M. Okabe and K. Ito, "Color universal design", 2008, darkened or lightened until text in them has a
contrast of 4.5 to its ground (WCAG 2.2, AA), and lines of 3.
"""

from __future__ import annotations

LIGHT = {
    "ground": "#ffffff",
    "card": "#f6f8fa",
    "text": "#1b1f24",
    "faint": "#57606a",
    "edge": "#7f8fa1",
    "rule": "#d0d7de",
    "ink": "#0a5c9e",
    "band": "#a9cdea",
    "theirs": "#b34700",
    "sure": "#0a5c9e",
    "likely": "#00755e",
    "doubt": "#b34700",
    "added": "#00755e",
    "removed": "#b34700",
    "changed": "#8a3a7d",
    "moved": "#0a5c9e",
    "reweighted": "#6a5d00",
}
DARK = {
    "ground": "#15191f",
    "card": "#1f252d",
    "text": "#e8ebef",
    "faint": "#a7b1bd",
    "edge": "#6b7a8b",
    "rule": "#3a434e",
    "ink": "#7cc0f5",
    "band": "#2f5878",
    "theirs": "#ffae66",
    "sure": "#7cc0f5",
    "likely": "#3fcfa8",
    "doubt": "#ffae66",
    "added": "#3fcfa8",
    "removed": "#ffae66",
    "changed": "#e3a0d8",
    "moved": "#7cc0f5",
    "reweighted": "#dccb52",
}
WORDS = (
    "text",
    "faint",
    "ink",
    "theirs",
    "sure",
    "likely",
    "doubt",
    *("added", "removed", "changed", "moved", "reweighted"),
)
LINES = ("edge", "ink", "theirs", "sure", "likely", "doubt")
GROUNDS = ("ground", "card")


def variables(colours: dict[str, str]) -> str:
    """As declarations of CSS."""
    return "".join(f"--rs-{name}:{colour};" for name, colour in colours.items())
