"""Settings of the documentation: `nox -s docs` builds it, without the network."""

import pathlib
import shutil

import zodiax_io

DOCS = pathlib.Path(__file__).parent

project = "zodiax_io"
author = "the zodiax_io developers"
copyright = f"2026, {author}"
release = zodiax_io.__version__
version = release

extensions = [
    # Reads Markdown and notebooks.
    "myst_nb",
    # The API reference, from the docstrings; napoleon reads the numpydoc style.
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"zodiax_io {release}"

# `nox -s notebooks` runs the notebooks; the documentation shows the outputs they hold.
nb_execution_mode = "off"
myst_enable_extensions = ["colon_fence", "dollarmath"]
# Links to headings, as in format.md#the-frame, down to this level.
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
# In the order in which the code tells its story.
autodoc_member_order = "bysource"
# The docstrings state the types already, and better than long signatures do.
autodoc_typehints = "none"
napoleon_google_docstring = False
# "Attributes" as a plain list: dataclass fields are documented members already, and
# two descriptions of one name are a warning.
napoleon_use_ivar = True

# A folder of pages which is still empty is no mistake: its glob matches nothing.
suppress_warnings = ["toc.empty_glob"]


def copy_notebooks() -> None:
    """Copy ../notebooks to _notebooks: Sphinx reads only what lies below conf.py."""
    target = DOCS / "_notebooks"
    shutil.rmtree(target, ignore_errors=True)
    notebooks = sorted((DOCS.parent / "notebooks").glob("*.ipynb"))
    if notebooks:
        target.mkdir()
    for notebook in notebooks:
        shutil.copy(notebook, target)


copy_notebooks()
