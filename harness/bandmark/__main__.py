"""`python -m bandmark` does what `bandmark` does."""

from bandmark.cli.app import main

if __name__ == "__main__":
    raise SystemExit(main())
