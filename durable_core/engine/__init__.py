"""The pure core: history events in, decisions out. No IO, no clock, no asyncio."""
