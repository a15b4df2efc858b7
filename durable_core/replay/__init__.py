"""Histories outside their hub: exported, replayed against the code at hand, debugged."""
