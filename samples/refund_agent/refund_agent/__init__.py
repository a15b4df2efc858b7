"""A refund agent: it looks orders up, pays small refunds back, and asks a manager about large ones."""
