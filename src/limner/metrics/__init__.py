"""Scores of a set of images against another, and the features they are taken on."""
