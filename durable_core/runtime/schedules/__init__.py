"""Schedules: started by the clock, each one an orchestration of its own."""
