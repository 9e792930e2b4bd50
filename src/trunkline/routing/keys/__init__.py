"""From the values of keys, as clients write them, to shards."""
