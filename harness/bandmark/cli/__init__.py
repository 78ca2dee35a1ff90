"""The command line: one module per command."""

from bandmark.cli.app import main as main
