"""Settings that change while the app runs."""

debug = False
limits = {"order": 100.0}


def reload(values: dict[str, float]) -> None:
    global debug
    debug = bool(values)
    limits.update(values)
