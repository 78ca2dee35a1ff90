"""Run the planned groups: options, session, runner and rows."""
