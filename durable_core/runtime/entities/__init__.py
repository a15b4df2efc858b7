"""Entities at run time: their turns, and how senders reach them."""
