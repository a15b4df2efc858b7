"""The engine: runs orchestrators on history events and collects their decisions. No IO, no clock, no asyncio."""
