"""What can happen to a picture before we see it: y = A(x) + noise, as values that compose."""
