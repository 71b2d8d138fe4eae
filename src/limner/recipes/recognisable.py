"""How many images a training must see until a person recognises what its pictures show.

The one place with these numbers: learning curves, read off at the first preview in which most samples are what they
are meant to be. `limner check` and `limner train` divide them by the images a second of the machine at hand.

| pictures | side | images | how it was measured |
| --- | --- | --- | --- |
| colour photographs | 32 | 20,000 | not measured: two thirds of what 64 pixels need |
| colour photographs | 64 | 30,000 | flowers, recipe photos, seed 0: most single flowers are recognised after \
24,000 images |
| colour photographs | 128 | 100,000 | not measured: a little over three times what 64 pixels need |
| grey digits | 32 | 20,000 | MNIST, recipe default, seeds 0 to 2: 24,000 images in 60 s are readable \
(benchmarks/quality.md) |

Other sizes lie on straight lines through these points, logarithm over logarithm, and smaller pictures than the
smallest need as many as that. Larger grey pictures need more in the proportion in which colour photographs do.
"""

from __future__ import annotations

import math
from itertools import pairwise

from limner.core.pixels import Image

COLOUR = {32: 20_000, 64: 30_000, 128: 100_000}
"""Side in pixels → images, for photographs."""
GREY = {32: 20_000}
"""The same for grey pictures."""


def images_needed(image: Image) -> int:
    """Images to be seen until pictures of this shape are recognisable."""
    side = math.sqrt(image.height * image.width)
    if image.channels > 2:
        return round(_on_the_curve(side))
    (measured, images), = GREY.items()  # fmt: skip
    return round(images * _on_the_curve(side) / COLOUR[measured])


def _on_the_curve(side: float) -> float:
    """COLOUR at any side: the segments between its points, the last of which goes on."""
    points = [(math.log(s), math.log(n)) for s, n in sorted(COLOUR.items())]
    at = max(math.log(side), points[0][0])
    (x0, y0), (x1, y1) = next((pair for pair in pairwise(points) if at <= pair[1][0]), (points[-2], points[-1]))
    return math.exp(y0 + (y1 - y0) * (at - x0) / (x1 - x0))
