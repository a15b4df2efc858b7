"""Read models for people who operate instances: what is stored, put together and told; nothing is decided by them."""
