"""Reports of runs for a browser: a self-contained page, and the same as Markdown, SVG and PNG."""
