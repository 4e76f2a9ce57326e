"""The gates of a promotion, a file each: what it asks, and when the answer is PASS, FAIL or INCONCLUSIVE."""
