"""Check that the suite works on this GPU."""
