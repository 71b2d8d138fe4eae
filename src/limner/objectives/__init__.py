"""What each player of a training makes small."""
