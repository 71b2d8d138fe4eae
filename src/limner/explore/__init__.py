"""The climbing loop, gradient ascent on a goal, and what is built on it."""
