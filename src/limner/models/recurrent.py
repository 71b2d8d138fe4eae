"""Row LSTM: one recurrence reads rows from top to bottom, another reads along the row from left to right.

The first is the Row LSTM of van den Oord et al. 2016 (Pixel Recurrent Neural Networks, section 3.1): the state of a
whole row at once, convolved along it. There the row's own pixels enter by a masked convolution; here by an LSTM.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from limner.core.pixels import Image
from limner.core.spec import register
from limner.models.autoregressive import Autoregressive
from limner.models.base import Classes, Labels, Pictures

Row = Float[Tensor, "n w _"]
REACH = 3
"""Pixels of a row, on either side, that a place reads; the state above it is read one place to either side."""


@register
class RowLSTMGenerator(Autoregressive):
    """An LSTM over rows and one along each row; likelihood in h + w steps, a sample in h · w.

    image: shape of what it makes
    classes: how many labels it is told, 0 for none
    levels: of a pixel: 2 for black and white, up to 256
    width: numbers in the state of either LSTM, for each pixel
    """

    def __init__(self, image: Image, classes: int = 0, levels: int = 2, width: int = 32) -> None:
        super().__init__(image, classes, levels, width)
        self.down = Downwards(image.channels, width)
        self.right = nn.LSTM(image.channels + width, width, batch_first=True)
        self.start = nn.Parameter(torch.zeros(image.width, width))
        self.label = Classes(classes, width) if classes else None

    def features(self, x: Pictures, label: Labels | None) -> Float[Tensor, "n h w d"]:
        # Not in bfloat16: sums over hundreds of steps.
        with torch.autocast(x.device.type, enabled=False):
            rows = x.float().permute(0, 2, 3, 1)
            state, above = self._start(len(x), label), list[Tensor]()
            for row in rows.unbind(1):
                above.append(state[0])
                state = self.down(row, state)
            known = torch.stack(above, 1)
            before = F.pad(rows, (0, 0, 1, -1))
            along = self.right(torch.cat([before, known], -1).flatten(0, 1))[0]
            return known + along.unflatten(0, known.shape[:2])

    def walk(self, x: Pictures, label: Labels | None) -> Iterator[Float[Tensor, "n d"]]:
        state, nothing = self._start(len(x), label), x.new_zeros(len(x), x.shape[1])
        for row in range(self.image.height):
            memory: tuple[Tensor, Tensor] | None = None
            for column in range(self.image.width):
                before = x[:, :, row, column - 1] if column else nothing
                known = state[0][:, column]
                along, memory = self.right(torch.cat([before, known], -1)[:, None], memory)
                yield known + along[:, 0]
            state = self.down(x[:, :, row].transpose(1, 2), state)

    def _start(self, n: int, label: Labels | None) -> tuple[Row, Row]:
        """The state above the first row."""
        start = self.start.expand(n, -1, -1)
        told = start if self.label is None else start + self.label(label, n)[:, None]
        return told.tanh(), told


class Downwards(nn.Module):
    """A row and the state above it → the state below it: an LSTM whose products are convolutions along the row."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.gates = nn.Linear((2 * REACH + 1) * channels + 3 * width, 4 * width)

    def forward(self, row: Row, state: tuple[Row, Row]) -> tuple[Row, Row]:
        """(n, w, c), the state's output and memory (n, w, d) each → the next state."""
        output, memory = state
        seen = torch.cat([_windows(row, REACH), _windows(output, 1)], -1)
        write, keep, read, new = self.gates(seen).chunk(4, -1)
        # it begins by remembering (Jozefowicz et al. 2015)
        memory = (keep + 1).sigmoid() * memory + write.sigmoid() * new.tanh()
        return read.sigmoid() * memory.tanh(), memory


def _windows(row: Row, reach: int) -> Row:
    """(n, w, k) → (n, w, (2 · reach + 1) · k): each place with those on either side, zeros beyond the ends."""
    padded = F.pad(row, (0, 0, reach, reach))
    return torch.cat([padded[:, i : i + row.shape[1]] for i in range(2 * reach + 1)], -1)
