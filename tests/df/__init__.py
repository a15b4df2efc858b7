"""Durable Functions on durable_core."""
