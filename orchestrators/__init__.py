"""The sample orchestrators, one file per pattern. They are the documentation of the patterns: read them first.

An orchestrator only decides; everything that touches the world is an activity (``activities/``).
"""
