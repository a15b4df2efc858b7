"""Bulk operations: one action on all instances that a filter matches, as a durable instance of its own."""
