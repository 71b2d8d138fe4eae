"""Reruns of published and exact results, one file a system: ours beside theirs."""
