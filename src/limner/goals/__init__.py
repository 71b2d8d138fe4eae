"""What to climb towards: goals as values that add and scale, one file a family."""
