"""A local host that runs the same function_app.py that Azure runs, under the Functions host's rules."""
