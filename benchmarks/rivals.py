"""Classical methods to restore a picture: each takes what was measured and one number, which is tuned elsewhere.

`Rival(case, value)` → (1, 1, h, w) in [-1, 1]. scikit-image, OpenCV, scipy and scikit-learn do the work; pictures go
to them in grey, from 0 to 1.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from limner.operators.blur import Blur
from limner.restoring.cases import Case

Rival = Callable[[Case, float], torch.Tensor]
PATCH = 8
"""Side of the squares that a dictionary writes as sums of few atoms."""


def unit(x: torch.Tensor) -> np.ndarray:
    """(1, 1, h, w) in [-1, 1] → (h, w) in [0, 1]."""
    return (x[0, 0].double().numpy() + 1) / 2


def back(x: np.ndarray) -> torch.Tensor:
    """The way back."""
    return torch.from_numpy(np.asarray(x, np.float64))[None, None].float() * 2 - 1


def missing(case: Case) -> np.ndarray:
    """(h, w): which pixels were not measured."""
    return case.operator.kept(case.seen)[0, 0].numpy() == 0


def as_seen(case: Case, _: float) -> torch.Tensor:
    """What was measured, as it is; of fewer pixels, enlarged by bicubic interpolation."""
    return case.seen


def non_local_means(case: Case, h: float) -> torch.Tensor:
    """Buades et al. 2005; h in standard deviations of the noise."""
    from skimage.restoration import denoise_nl_means

    sigma = case.operator.deviation / 2
    options = {"patch_size": 5, "patch_distance": 6, "fast_mode": True}
    return back(denoise_nl_means(unit(case.seen), h=h * sigma, sigma=sigma, **options))


def total_variation(case: Case, weight: float) -> torch.Tensor:
    """Chambolle 2004; the weight of the variation."""
    from skimage.restoration import denoise_tv_chambolle

    return back(denoise_tv_chambolle(unit(case.seen), weight=weight))


def wavelet(case: Case, share: float) -> torch.Tensor:
    """BayesShrink (Chang et al. 2000) for this share of the noise."""
    from skimage.restoration import denoise_wavelet

    sigma = case.operator.deviation / 2
    return back(denoise_wavelet(unit(case.seen), sigma=share * sigma, mode="soft", method="BayesShrink"))


def richardson_lucy(case: Case, steps: float) -> torch.Tensor:
    """Richardson 1972, Lucy 1974; how many steps."""
    from skimage.restoration import richardson_lucy as deconvolved

    x = padded(unit(case.seen).clip(0, 1))
    return back(cropped(deconvolved(x, kernel(), num_iter=int(steps)), case))


def wiener(case: Case, balance: float) -> torch.Tensor:
    """Wiener's filter with a Laplacian (Orieux et al. 2010, the regular one); the weight of smoothness."""
    from skimage.restoration import wiener as deconvolved

    return back(cropped(deconvolved(padded(unit(case.seen)), kernel(), balance, clip=False), case))


def kernel() -> np.ndarray:
    """Of the blur that `deblur` undoes."""
    return Blur(1.5).kernel().numpy()


def padded(x: np.ndarray, by: int = 16) -> np.ndarray:
    """Mirrored at the edges, so that methods which think a picture goes round have no seam there."""
    return np.pad(x, by, mode="symmetric")


def cropped(x: np.ndarray, case: Case, by: int = 16) -> np.ndarray:
    """Undoes `padded`."""
    height, width = case.seen.shape[2:]
    return x[by : by + height, by : by + width]


def lanczos(case: Case, _: float) -> torch.Tensor:
    """Enlarged with Lanczos' kernel of three lobes, as in Pillow."""
    from PIL import Image

    height, width = case.seen.shape[2:]
    small = Image.fromarray(unit(case.y).astype(np.float32))
    return back(np.asarray(small.resize((width, height), Image.Resampling.LANCZOS)))


def biharmonic(case: Case, _: float) -> torch.Tensor:
    """Holes filled by biharmonic equations (Damelin & Hoang 2018)."""
    from skimage.restoration import inpaint_biharmonic

    return back(inpaint_biharmonic(unit(case.seen), missing(case)))


def linear(case: Case, _: float) -> torch.Tensor:
    """Linear interpolation in triangles between measured pixels."""
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator

    there, x = ~missing(case), unit(case.seen)
    at = np.argwhere(there)
    filled = LinearNDInterpolator(at, x[there])(*np.indices(x.shape))
    return back(np.where(np.isnan(filled), NearestNDInterpolator(at, x[there])(*np.indices(x.shape)), filled))


def telea(case: Case, radius: float) -> torch.Tensor:
    """OpenCV's fast marching (Telea 2004); how far it looks, in pixels."""
    return painted(case, radius, "INPAINT_TELEA")


def navier_stokes(case: Case, radius: float) -> torch.Tensor:
    """OpenCV's flow of brightness (Bertalmio et al. 2001); how far it looks, in pixels."""
    return painted(case, radius, "INPAINT_NS")


def painted(case: Case, radius: float, method: str) -> torch.Tensor:
    """OpenCV takes bytes, which pictures are."""
    import cv2

    pixels = (255 * unit(case.seen)).round().clip(0, 255).astype(np.uint8)
    return back(cv2.inpaint(pixels, missing(case).astype(np.uint8), radius, getattr(cv2, method)) / 255)


@dataclass
class Dictionary:
    """Squares as sums of few atoms that were learnt from other pictures (Elad & Aharon 2006), by scikit-learn.

    pictures: (h, w) in [0, 1], to learn from
    atoms: how many
    step: from one square to the next, which overlap and are averaged
    """

    pictures: Callable[[], list[np.ndarray]]
    atoms: int = 192
    step: int = 4
    learnt: np.ndarray | None = None

    def denoise(self, case: Case, gain: float) -> torch.Tensor:
        """As few atoms as leave an error of `gain` standard deviations of the noise a pixel."""
        from sklearn.linear_model import orthogonal_mp

        x = unit(case.seen)
        sigma = case.operator.deviation / 2
        squares = self.cut(x)
        means = squares.mean(1, keepdims=True)
        tolerance = squares.shape[1] * (gain * sigma) ** 2
        codes = orthogonal_mp(self.known().T, (squares - means).T, tol=tolerance, precompute=True)
        return back(self.joined(codes.T @ self.known() + means, x.shape))

    def fill(self, case: Case, few: float) -> torch.Tensor:
        """At most `few` atoms for what is there of a square; where nothing is there, its surroundings."""
        from sklearn.linear_model import orthogonal_mp

        x, hidden = unit(linear(case, 0)), missing(case)
        squares, holes = self.cut(x), self.cut(hidden.astype(float)) > 0
        atoms = np.concatenate([np.full((1, PATCH**2), 1 / PATCH), self.known()])
        with warnings.catch_warnings():
            # a square that fewer atoms describe exactly ends early
            warnings.simplefilter("ignore", RuntimeWarning)
            for k, (square, hole) in enumerate(zip(squares, holes, strict=True)):
                if hole.any() and (~hole).sum() > 2 * few:
                    part = atoms[:, ~hole].T
                    lengths = np.linalg.norm(part, axis=0).clip(1e-9)
                    codes = orthogonal_mp(part / lengths, square[~hole], n_nonzero_coefs=int(few)) / lengths
                    squares[k, hole] = (codes @ atoms)[hole]
        return back(np.where(hidden, self.joined(squares, x.shape), x))

    def known(self) -> np.ndarray:
        """The atoms, learnt at first need."""
        if self.learnt is None:
            from sklearn.decomposition import MiniBatchDictionaryLearning

            rng = np.random.default_rng(0)
            squares = np.concatenate([self.cut(x) for x in self.pictures()])
            squares = squares[rng.permutation(len(squares))[:20_000]]
            learner = MiniBatchDictionaryLearning(
                self.atoms, alpha=0.1, max_iter=10, batch_size=256, transform_algorithm="omp", random_state=0
            )
            self.learnt = learner.fit(squares - squares.mean(1, keepdims=True)).components_
        return self.learnt

    def cut(self, x: np.ndarray) -> np.ndarray:
        """(h, w) → squares as rows."""
        windows = np.lib.stride_tricks.sliding_window_view(x, (PATCH, PATCH))
        rows, columns = (starts(side, self.step) for side in x.shape)
        return windows[np.ix_(rows, columns)].reshape(-1, PATCH**2).copy()

    def joined(self, squares: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """The mean of overlapping squares."""
        total, count = np.zeros(shape), np.zeros(shape)
        at = [(top, left) for top in starts(shape[0], self.step) for left in starts(shape[1], self.step)]
        for (top, left), square in zip(at, squares.reshape(-1, PATCH, PATCH), strict=True):
            total[top : top + PATCH, left : left + PATCH] += square
            count[top : top + PATCH, left : left + PATCH] += 1
        return total / count


def starts(side: int, step: int) -> list[int]:
    """Where squares begin; the last one ends with the picture."""
    last = side - PATCH
    return [*range(0, last, step), last]
