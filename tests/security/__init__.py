"""What strangers, key holders and broken neighbours may try, and must not get."""
