"""`python -m limner.cli`: the program without its installed name."""

from __future__ import annotations

from limner.cli import main

main()
