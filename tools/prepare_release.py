"""Give README.md absolute links, and pyproject.toml its URLs, before a release is built.

The repository's address is known where a release is made, and not in the sources: `prepare_release.py URL TAG`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

LINK = re.compile(r"(!?)(\[[^\]]*\])\(([^)\s]+)\)")


def absolute_links(text: str, url: str, tag: str) -> str:
    """Return Markdown that renders outside of the repository: relative links lead to its files at the tag."""

    def link(match: re.Match[str]) -> str:
        image, label, target = match.groups()
        if "://" in target or target.startswith("#"):
            return match[0]
        return f"{image}{label}({url}/{'raw' if image else 'blob'}/{tag}/{target})"

    return LINK.sub(link, text).replace("ADDRESS", url)


def project_urls(url: str, tag: str) -> str:
    """Return the table of pyproject.toml that the page of a release on an index shows."""
    return f"""
[project.urls]
Repository = "{url}"
Documentation = "{url}/blob/{tag}/docs/index.md"
Changelog = "{url}/blob/{tag}/CHANGELOG.md"
Issues = "{url}/issues"
"""


def main(url: str, tag: str, folder: Path = Path()) -> None:
    """Rewrite both files of a checkout."""
    readme, project = folder / "README.md", folder / "pyproject.toml"
    readme.write_text(absolute_links(readme.read_text(encoding="utf-8"), url, tag), encoding="utf-8")
    project.write_text(project.read_text(encoding="utf-8") + project_urls(url, tag), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
