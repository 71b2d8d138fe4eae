"""Damaged pictures made good: by a trained translator, by climbing in a generator's codes, or with no model at all."""
