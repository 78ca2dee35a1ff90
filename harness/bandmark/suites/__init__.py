"""Which cases exist, and how large they are."""
