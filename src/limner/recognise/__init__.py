"""What a model has learnt about its pictures, measured by telling classes apart; and labelled pictures of its own."""
