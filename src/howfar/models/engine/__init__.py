"""How networks run: devices, precision, averaging, shared stretches of sequence."""
