"""``ctx.map``: one call for each of many items, in a window, with a policy for failures."""
