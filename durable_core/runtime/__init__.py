"""Runs instances: turns, activities, client, schedules, recovery. Uses no HTTP server and no cloud SDK."""
