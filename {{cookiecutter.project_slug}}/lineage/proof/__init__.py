"""From a registered model back to what made it: found by hash, proved link by link, restored, rebuilt."""
