"""Adapters to other Python frameworks. Each needs an extra of its own, and nothing else of the product imports one."""
