"""Pictures in: any source becomes one uint8 array and an honest report."""
