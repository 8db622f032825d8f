"""The documentation site: `pip install ".[docs]" && sphinx-build -W docs OUT`. It needs no network."""

import os
import re
from importlib.metadata import version as installed

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

project = "recsketch"
author = "the recsketch authors"
version = release = installed("recsketch")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery/**/*.ipynb"]

html_show_copyright = False
smartquotes = False  # "polar" is what is written in a program

html_theme = "furo"
html_title = f"recsketch {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {"navigation_with_keys": True}

# Pages are Markdown, so that they can be read in a checkout, and so that tests/test_docs.py runs their examples.
myst_heading_anchors = 4  # what GitHub makes of headings, too

# Docstrings, a page a topic: docs/api/ names them.
autodoc_default_options = {"members": True, "inherited-members": "tuple,BaseException,object"}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings state types, and shapes with them
default_role = "py:obj"  # a name in single backticks; one that is ambiguous or nobody's stays a word
suppress_warnings = ["ref.python"]
autodoc_mock_imports = ["torch"]  # 6 GB once it is installed
numpydoc_show_class_members = False  # autodoc shows them, with their docstrings

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "reference_url": {"recsketch": None},  # names in scripts lead to their docstrings
}

# Links to what others document: only where asked for, because a fetch that fails is a warning, and -W an error.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "scipy": ("https://docs.scipy.org/doc/scipy", None),
    "sklearn": ("https://scikit-learn.org/stable", None),
}
if not os.environ.get("RECSKETCH_INTERSPHINX"):
    intersphinx_mapping = {}


def link_names(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make `Sketcher.unroll`, in backticks on any page, lead to where its docstring stands."""
    known = app.env.domains.python_domain.objects
    for literal in list(doctree.findall(nodes.literal)):
        name = re.split(r"[(\[]", literal.astext().removeprefix("rs.").removeprefix("recsketch."))[0]
        found = known.get(f"recsketch.{name}")
        if found and found.docname != docname and not isinstance(literal.parent, nodes.reference):
            inside = literal.deepcopy()
            literal.replace_self(make_refnode(app.builder, docname, found.docname, found.node_id, inside))


def name_pages(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Call pages by their titles where a link says format.md, as it does for those who read in a checkout."""
    for link in doctree.findall(nodes.reference):
        page = link.astext().removeprefix("docs/").removesuffix(".md")
        if page != link.astext() and page in app.env.titles:
            link.children = [nodes.inline("", app.env.titles[page].astext())]


def escape(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Take |x| and fitted_ for what they are: docstrings are read in terminals, too, and have no markup for them."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...", "..")):
            parts = line.split("`")
            parts[::2] = [re.sub(r"(\|)|(?<=\w)(_)(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
            lines[i] = "`".join(parts)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", escape, priority=900)  # after numpydoc
    app.connect("doctree-resolved", link_names)
    app.connect("doctree-resolved", name_pages)
