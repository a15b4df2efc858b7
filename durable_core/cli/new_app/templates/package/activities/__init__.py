"""Activities: the work itself. All modules of this package are scanned."""
