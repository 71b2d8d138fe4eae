"""Directions of a latent space along which one thing changes, and four ways to find them.

labels: the normal of the plane that parts codes with a label from those without (InterFaceGAN, Shen et al. 2020)
difference: the mean code of one group of pictures less that of the others
sefa: what the first affine layers amplify most: leading eigenvectors of AᵀA (SeFa, Shen & Zhou 2021, eq. 4)
pca: where styles vary most, or the codes that first activations vary with (GANSpace, Härkönen et al. 2020, eq. 1)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from limner.baselines.base import scikit
from limner.core.errors import UserError, unknown
from limner.core.latent import parts
from limner.core.rng import generator as random_of
from limner.core.store import digest, replacing
from limner.explore.ascents import Points
from limner.explore.spaces import Space, StylePrior
from limner.models.base import Generator

Machine = Literal["logistic", "svm"]
Vectors = Float[Tensor, "k d"]
DRAWN = 4_096
"""Codes that the spread of a prior is measured on."""
ALIKE = 0.05
"""What is left of a unit direction without the others must be longer than this."""


@dataclass(frozen=True, eq=False)
class Directions:
    """Named steps in a space of codes, each one standard deviation of the space's prior long.

    names: of the steps
    steps: vectors of the space
    space: z or w
    how: they were found
    model: digest of the generator that they are for
    purity: how far a label's probability moves from four steps back to four on, and that other label's which
        moves most; none where no labels were known
    """

    names: tuple[str, ...]
    steps: Vectors
    space: str
    how: str
    model: str
    purity: tuple[tuple[float, float], ...] = ()

    def step(self, name: str) -> Float[Tensor, " d"]:
        """The step of a name. Raises UserError when there is none such."""
        if name not in self.names:
            raise unknown("direction", name, self.names)
        return self.steps[self.names.index(name)]


def normals(u: Points, told: Bool[Tensor, "n k"], machine: Machine = "logistic") -> Vectors:
    """Unit normals, towards yes, of the planes that part codes by each of k labels, by either machine."""
    lines = scikit("linear_model").LogisticRegression(class_weight="balanced", max_iter=2_000)
    if machine == "svm":
        lines = scikit("svm").LinearSVC(class_weight="balanced", max_iter=10_000, dual=False)
    found = [torch.from_numpy(lines.fit(u.cpu().numpy(), yes.cpu().numpy()).coef_[0]) for yes in told.T]
    return _unit(torch.stack(found)).to(u)


def differences(u: Points, told: Bool[Tensor, "n k"]) -> Vectors:
    """Unit vectors from the mean code of those without a label to that of those with it."""
    return _unit(torch.stack([u[yes].mean(0) - u[~yes].mean(0) for yes in told.T]))


def apart(vectors: Vectors, names: tuple[str, ...]) -> Vectors:
    """Each without what the others say of it: orthogonal to all of them, of length 1 (Shen et al. 2020, section 3.4).

    Raises UserError where nothing is left.
    """
    kept: list[Tensor] = []
    for k, own in enumerate(vectors.double()):
        others = torch.cat([vectors[:k], vectors[k + 1 :]]).double()
        basis = torch.linalg.qr(others.T).Q
        rest = own - basis @ (basis.T @ own)
        if rest.norm() < ALIKE:
            raise UserError(f"{names[k]!r} cannot be told apart from the other labels; take --together")
        kept.append(rest)
    return _unit(torch.stack(kept)).to(vectors)


def leading(matrix: Float[Tensor, "out d"], k: int) -> Vectors:
    """The k unit vectors that a matrix amplifies most, in order: eigenvectors of AᵀA."""
    a = matrix.double()
    return _signed(torch.linalg.eigh(a.T @ a).eigenvectors.flip(1).T[:k]).to(matrix)


def components(h: Float[Tensor, "n m"], z: Points, k: int) -> Vectors:
    """Unit vectors along which z varies with the first k principal components of h, by least squares.

    Of h = z they are its principal components. Raises UserError where h does not vary.
    """
    h, z0 = (h - h.mean(0)).double(), (z - z.mean(0)).double()
    if h.shape[1] <= len(h):
        scores = h @ torch.linalg.eigh(h.T @ h).eigenvectors.flip(1)[:, :k]
    else:
        power, rows = torch.linalg.eigh(h @ h.T)  # the same scores, by the smaller of the two tables
        scores = (rows * power.clamp_min(0).sqrt()).flip(1)[:, :k]
    found = (scores / scores.norm(dim=0).clamp_min(1e-12)).T @ (h if h.shape == z0.shape and h.equal(z0) else z0)
    if not (found.norm(dim=1) > 1e-9 * z0.norm()).all():
        raise UserError("--how pca: what this model makes does not vary with the code; take --how labels")
    return _signed(_unit(found)).to(z)


def spread(within: Space) -> Float[Tensor, " d"]:
    """Standard deviation of each number of a point under the prior; of codes, one for all numbers that are alike."""
    if isinstance(within.latent, StylePrior):
        return within.latent.spread
    z = within.latent.sample(DRAWN, random_of(0, 0, "spread"))
    own = z.split([part.dim for part in parts(within.latent)], dim=1)
    return torch.cat([some.std().expand(some.shape[1]) for some in own])


def stepped(vectors: Vectors, points: Points) -> Vectors:
    """Vectors as steps of one standard deviation of these points along them."""
    along = _unit(vectors)
    return along * (points @ along.T).std(0)[:, None]


def mark(net: Generator) -> str:
    """Digest of a generator's weights."""
    return digest(net.state_dict())


def save(found: Directions, path: Path, **more: Any) -> Path:
    """Write a safetensors file, a vector a direction, whose header says the rest; `Direction(file=…)` reads it too."""
    from safetensors.torch import save_file

    facts = {"names": found.names, "space": found.space, "how": found.how, "model": found.model}
    header = {"limner.directions": json.dumps(facts | {"purity": found.purity} | more)}
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = {name: row.cpu().contiguous() for name, row in zip(found.names, found.steps, strict=True)}
    with replacing(path) as temporary:
        temporary.touch()  # else only its owner could read it
        save_file(rows, temporary, header)
    return path


def load(path: Path) -> Directions:
    """Read what `save` wrote; a folder is that of limner directions. Raises UserError when it is none."""
    from safetensors import SafetensorError, safe_open

    path = path / "directions.safetensors" if path.is_dir() else path
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})["limner.directions"])
            rows = torch.stack([file.get_tensor(name) for name in facts["names"]])
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file; make one with limner directions MODEL --out FOLDER/") from None
    except (SafetensorError, OSError, KeyError, ValueError):
        raise UserError(f"{path}: not a directions.safetensors that limner directions made") from None
    purity = tuple((a, b) for a, b in facts["purity"])
    return Directions(tuple(facts["names"]), rows, facts["space"], facts["how"], facts["model"], purity)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-12)


def _signed(vectors: Tensor) -> Tensor:
    """Eigenvectors have no sign: the largest number is made positive, so that the same model gives the same steps."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return vectors * largest.sign()
