"""Networks, one family a file: generator, encoder and critic together."""
