"""How Sphinx builds the documentation."""

from importlib.metadata import version as installed_version

project = "ordermgmt"
author = "the ordermgmt authors"
copyright = f"2026, {author}"
release = installed_version("ordermgmt")
version = ".".join(release.split(".")[:2])

extensions = ["myst_parser", "sphinxcontrib.mermaid"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist"]
# A drawing is written ```mermaid, so that the page also shows it where it is read as plain Markdown.
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"ordermgmt {release}"
