"""AC-GAN: digits on demand from a critic that is never told the label."""

from __future__ import annotations

from collections.abc import Iterator

from limner.proofs.base import Bench, Row, proof
from limner.proofs.conditional import as_asked

IMAGES = 150_000


@proof
def acgan(bench: Bench) -> Iterator[Row]:
    """MNIST digits on demand: the recipe `acgan`, measured as `conditional` is."""
    yield from as_asked(bench, "acgan", images=IMAGES, quick=15.0)
