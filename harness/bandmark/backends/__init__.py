"""Libraries on a device: NumPy, torch and CuPy behind one interface."""
