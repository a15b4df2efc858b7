"""The sample activities, one file per concern. They do the work that orchestrators decide on.

An activity runs at least once: after a crash it may run again. Each one here says how it stays harmless then.
"""
