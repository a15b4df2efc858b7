"""Tests that docs/testing.md shows; a test of our own runs them in a project of their own."""
