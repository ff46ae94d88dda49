"""Speed and exactness, measured against what would be used otherwise."""
