"""One module per command of the command line, each with execute(arguments) -> exit code."""
