"""What is kept: result tables, predictions, finished units and their cache keys."""
