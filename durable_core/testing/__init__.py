"""Tools for tests: fault injection, a world in virtual time, an Azurite to test against."""
