"""Histories outside of their task hub: exported, replayed with the current code, debugged."""
