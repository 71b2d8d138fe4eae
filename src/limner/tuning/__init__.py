"""Settings found by trying."""
