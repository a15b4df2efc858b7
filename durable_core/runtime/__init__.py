"""Moves instances forward: dispatcher, activity runner, client, recovery. Knows no HTTP and no cloud SDK."""
