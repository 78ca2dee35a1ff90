"""What the machine and its devices are."""
