"""What everything else stands on: names, time, randomness, pixels, latents, files."""
