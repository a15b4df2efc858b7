"""Orchestrators: what is to be done, in which order. All modules of this package are scanned."""
