"""Named configurations as functions from facts about the data to the spec of a Run."""
