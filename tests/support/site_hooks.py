"""What the documentation's site needs of MkDocs besides its configuration.

In: the text of each page. Out: the same, with links to files outside `docs/` leading to the repository, where they are.
"""

import re

REPOSITORY = "https://github.com/aom-bridge/aom-bridge/blob/main"
_OUTSIDE = re.compile(r"\]\((?:\.\./)+(?!docs/)([^)#\s]+)(#[^)]*)?\)")
_FOLDER = re.compile(r"\]\((?:\.\./)?runbooks/?\)")


def on_page_markdown(markdown, page, **_):
    """Return the text of a page with its links outside made absolute."""
    if "/" in page.file.src_uri:
        markdown = re.sub(r"\]\(\.\./(?!\.\./)", "](DOCS/", markdown)
    markdown = _OUTSIDE.sub(rf"]({REPOSITORY}/\1)", markdown).replace("](DOCS/", "](../")
    return _FOLDER.sub(f"]({REPOSITORY}/docs/runbooks)", markdown)
