"""A release's README has absolute links, and its metadata the repository's URLs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from prepare_release import absolute_links, main

ROOT = Path(__file__).parents[2]
URL = "https://forge.example/owner/bandmark"


def test_relative_links_lead_to_the_tag() -> None:
    """Files become pages, pictures become raw files; absolute links and anchors stay."""
    text = "![A](docs/a.svg) [b](docs/b.md) [c](https://x.test/) [d](#d) `git clone ADDRESS bandmark`"
    assert absolute_links(text, URL, "v1") == (
        f"![A]({URL}/raw/v1/docs/a.svg) [b]({URL}/blob/v1/docs/b.md) [c](https://x.test/) [d](#d) "
        f"`git clone {URL} bandmark`"
    )


def test_a_release_of_this_checkout(tmp_path: Path) -> None:
    """No link of the README stays relative, and pyproject.toml is as before with URLs of the repository alone."""
    for name in ("README.md", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    before = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    main(URL, "v1", tmp_path)
    readme = (tmp_path / "README.md").read_text()
    targets = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(targets) > 10 and all(target.startswith("https://") for target in targets)
    assert "ADDRESS" not in readme
    after = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    urls = after["project"].pop("urls")
    assert after == before and set(urls) == {"Repository", "Documentation", "Changelog", "Issues"}
    assert all(url.startswith(URL) for url in urls.values())
