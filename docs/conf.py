"""How `make docs` builds a site from the pages of the repository (Sphinx)."""

project = "regionloss"
copyright = "the regionloss authors, Apache-2.0"
author = "the regionloss authors"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["docs/**", "*.md", "plugins/*/README.md", "recipes/README.md", "studies/**"]
exclude_patterns = [".*", "dist", "runs", "docs/images/README.md"]

# Headings are anchors, as on a forge; a link that leads nowhere is an error (`-W`).
myst_heading_anchors = 4
autodoc_typehints = "signature"
autodoc_member_order = "groupwise"
napoleon_custom_sections = ["Source"]
html_theme = "furo"
html_title = "regionloss"
