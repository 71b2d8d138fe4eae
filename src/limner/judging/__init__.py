"""Human judgement: people say which pictures are real, and how often they are wrong is the score."""
