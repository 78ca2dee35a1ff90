"""Whether a measured figure is credible, and normal."""
