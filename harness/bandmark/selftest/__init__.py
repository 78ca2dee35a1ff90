"""Whether the suite works on this GPU."""
