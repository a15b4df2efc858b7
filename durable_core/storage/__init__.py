"""Two small ports, ``Table`` and ``Queue``, and their adapters. Knows nothing of orchestrations."""
