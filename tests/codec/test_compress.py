"""Pictures through models: what comes out is what the model makes of the numbers in the file, bit for bit."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from limner.codec.compress import compress, decoded, decompress, digest, slopes
from limner.codec.schemes import Grid, Spikes, Vector
from limner.codec.tiles import cut, joined
from limner.core.errors import UserError
from limner.core.latent import Gaussian, Sparse
from limner.core.pixels import Bytes, Image
from limner.data.whole import Whole
from limner.likeness import Likeness
from limner.models.classical import PCAGenerator
from limner.models.grid import GridEncoder, GridGenerator, cosines
from limner.models.light import LightEncoder, LightGenerator
from limner.models.prior import GridPrior
from limner.models.sparse import SparseEncoder, SparseGenerator
from limner.models.sparsity import TopK

pytest.importorskip("constriction")
GREY, COLOUR = Image(1, 28, 28), Image(3, 16, 24)


def model(kind: str) -> Likeness:
    torch.manual_seed(3)
    nets: dict[str, torch.nn.Module]
    match kind:
        case "vector":
            options = {"latent": Gaussian(12), "width": 8, "widest": 16}
            nets = {"encoder": LightEncoder(GREY, **options), "generator": LightGenerator(GREY, **options)}
            nets["encoder"].head.dense.weight.data *= 30
        case "sparse":
            latent = Sparse(64, 6)
            nets = {"encoder": SparseEncoder(GREY, latent, TopK(6)), "generator": SparseGenerator(GREY, latent)}
        case _:
            image = GREY if kind == "grid" else COLOUR
            nets = {
                "encoder": GridEncoder(image, halvings=2, width=8),
                "generator": GridGenerator(image, halvings=2, width=8),
                "prior": GridPrior(image, halvings=2),
            }
            for net in nets.values():
                for weights in net.parameters():  # what begins at zero must take part
                    weights.data += 0.02 * torch.randn_like(weights)
    return Likeness({role: net.eval().requires_grad_(False) for role, net in nets.items()})


def pictures(n: int, image: Image = GREY, name: str = "") -> list[Whole]:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (n, image.height // 4, image.width // 4, image.channels), np.uint8)
    return [Whole(f"{name}{k}.png", p.repeat(4, 0).repeat(4, 1)) for k, p in enumerate(coarse)]


KINDS = pytest.mark.parametrize("kind", ["vector", "sparse", "grid", "colour grid"])


def scheme_of(kind: str) -> type:
    return {"vector": Vector, "sparse": Spikes}.get(kind, Grid)


@KINDS
@pytest.mark.parametrize("step", [0.5, 1.0, 3.0])
def test_what_comes_out_is_the_models_picture_of_the_whole_numbers(kind: str, step: float) -> None:
    likeness = model(kind)
    made = compress(likeness.nets, pictures(20, likeness.image), step)
    answers = decompress(likeness.nets, made.content)
    assert [a.name for a in answers] == [f"{k}.png" for k in range(20)]
    scheme = _scheme(likeness, made.content)
    assert type(scheme) is scheme_of(kind)
    expected = decoded(likeness.generator, scheme.real(made.codes))
    assert all(np.array_equal(a.pixels, x) for a, x in zip(answers, expected, strict=True))
    assert made.payload <= 1.01 * made.ideal + 4, "the coder wastes no more than a hundredth"


@KINDS
def test_neither_bytes_nor_colours_hang_on_the_pictures_beside(kind: str) -> None:
    likeness = model(kind)
    some = pictures(9, likeness.image)
    together = compress(likeness.nets, some, names=False)
    scheme = _scheme(likeness, together.content)
    for k, whole in enumerate(some):
        z = _exact(likeness, whole)
        assert np.array_equal(scheme.whole(z), together.codes[k : k + 1])
    assert compress(likeness.nets, some, names=False).content == together.content
    alone = decoded(likeness.generator, scheme.real(together.codes[4:5]))
    assert np.array_equal(decompress(likeness.nets, together.content)[4].pixels, alone[0])


def test_more_than_a_block_of_pictures() -> None:
    likeness = model("grid")
    made = compress(likeness.nets, pictures(300), step=4, names=False)
    assert len(decompress(likeness.nets, made.content)) == 300


@KINDS
def test_coarser_is_smaller(kind: str) -> None:
    likeness = model(kind)
    sizes = [compress(likeness.nets, pictures(20, likeness.image), step).payload for step in (0.25, 1.0, 4.0)]
    assert sizes[0] > sizes[1] > sizes[2]


def test_pictures_of_other_sizes_come_back_in_theirs() -> None:
    likeness = model("colour grid")
    rng = np.random.default_rng(0)
    sizes = [(16, 24), (1, 1), (40, 24), (17, 60)]
    some = [Whole(f"{h}x{w}.png", rng.integers(0, 256, (h, w, 3), np.uint8)) for h, w in sizes]
    made = compress(likeness.nets, some)
    assert len(made.codes) == 1 + 1 + 3 + 2 * 3
    assert [a.pixels.shape for a in decompress(likeness.nets, made.content)] == [(h, w, 3) for h, w in sizes]


@pytest.mark.parametrize("image", [GREY, COLOUR, Image(2, 8, 8), Image(4, 8, 8)], ids=str)
@pytest.mark.parametrize("size", [(1, 1), (28, 28), (33, 20), (100, 7)])
def test_tiles_put_together_are_the_picture(image: Image, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 1 if image.channels < 3 else 3), np.uint8)
    alpha = np.random.default_rng(1).integers(0, 256, size, np.uint8) if image.channels % 2 == 0 else None
    shape, tiles = cut(Whole("x", pixels, alpha), image)
    assert tiles.shape[1:] == (image.height, image.width, image.channels)
    whole = pixels if alpha is None else np.concatenate([pixels, alpha[:, :, None]], 2)
    assert np.array_equal(joined(tiles, shape, image), whole)


def test_grey_pictures_in_a_colour_model_stay_grey_and_colours_in_a_grey_one_are_refused() -> None:
    grey = Whole("g", np.random.default_rng(0).integers(0, 256, (9, 9, 1), np.uint8))
    shape, tiles = cut(grey, COLOUR)
    assert shape == (9, 9, 1) and np.array_equal(joined(tiles, shape, COLOUR), grey.colours)
    assert cut(Whole("g", grey.colours.repeat(3, 2)), GREY)[0] == (9, 9, 1)
    coloured = grey.colours.repeat(3, 2) // np.array([1, 2, 3], np.uint8)
    with pytest.raises(UserError, match=r"rose\.png has colours and the model is grey"):
        cut(Whole("rose.png", coloured), GREY)


def test_what_is_said_of_a_turn_hangs_on_earlier_turns_alone() -> None:
    prior = model("colour grid").nets["prior"]
    rng = np.random.default_rng(0)
    q = rng.integers(-5, 6, (3, prior.latent.dim))
    told: list[int] = []
    for turn in range(prior.turns):
        said, places = prior.said(turn, q, Fraction(3, 2)), prior.places(turn)
        later = q.copy()
        later[:, [d for d in range(q.shape[1]) if d not in told]] = 77
        assert all(np.array_equal(a, b) for a, b in zip(said, prior.said(turn, later, Fraction(3, 2)), strict=True))
        told += places.tolist()
    assert sorted(told) == list(range(prior.latent.dim)), "each number is told once"


def test_bits_that_are_trained_are_bits_that_are_written() -> None:
    likeness = model("colour grid")
    prior = likeness.nets["prior"]
    prior.floor.data += 2  # so wide that no number is one that tables do not tell apart
    made = compress(likeness.nets, pictures(30, COLOUR), 1.5, names=False)
    q = torch.from_numpy(made.codes).float()
    trained = prior.bits(q, q, 1.5).sum().item() / 8
    assert made.ideal == pytest.approx(trained, rel=0.003)


def test_training_bits_are_those_of_a_rounded_laplace_variable() -> None:
    from scipy import stats

    from limner.models.prior import laplace_bits

    wide = torch.tensor([0.0625, 0.4, 1.0, 20.0]).view(1, 4, 1, 1)
    r = torch.linspace(-2, 2, 41).expand(1, 4, 1, 41)
    law = stats.laplace(scale=wide.double().numpy())
    at = -r.abs().double().numpy()
    mass = law.cdf(at + 0.5) - law.cdf(at - 0.5)
    np.testing.assert_allclose(laplace_bits(r, wide).numpy(), -np.log2(mass), rtol=1e-3, atol=1e-4)


def test_the_networks_begin_as_a_cosine_transform_and_its_inverse() -> None:
    from scipy.fft import dctn

    matrix = cosines(3, 8)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(192))
    block = np.random.default_rng(0).random((3, 8, 8))
    ours = np.sort(matrix.double().numpy() @ block.ravel())
    np.testing.assert_allclose(ours, np.sort(dctn(block, norm="ortho").ravel()), atol=1e-6)
    image = Image(3, 33, 20)
    x = torch.rand(2, 3, 33, 20) * 2 - 1
    torch.testing.assert_close(GridGenerator(image)(GridEncoder(image)(x).exact), x)


def test_steps_follow_what_a_number_does_to_the_picture() -> None:
    """A linear model: the length of each direction."""
    pca = PCAGenerator(Image(1, 8, 8), components=3)
    z = 0.01 * np.random.default_rng(0).normal(size=(20, 3))  # nothing is cut at black or white
    with torch.no_grad():
        codes = torch.eye(3)
        change = (pca(codes * 0.01) - pca(codes * 0)).square().flatten(1).mean(1).sqrt() / 0.01
    np.testing.assert_allclose(slopes(pca, z), change.numpy(), rtol=1e-3)


def test_another_model_and_no_encoder_and_broken_weights() -> None:
    likeness, other = model("grid"), model("grid")
    other.nets["generator"].gain += 0.1
    content = compress(likeness.nets, pictures(3)).content
    named = f"made with the model {digest(likeness.nets)}, and this is {digest(other.nets)}"
    with pytest.raises(UserError, match=named):
        decompress(other.nets, content)
    with pytest.raises(UserError, match="no encoder to compress with"):
        compress({"generator": likeness.generator}, pictures(3))
    with pytest.raises(UserError, match="no pictures"):
        compress(likeness.nets, [])
    likeness.nets["encoder"].gain *= float("nan")
    with pytest.raises(UserError, match=r"0\.png: the model's code of it is not finite"):
        compress(likeness.nets, pictures(3))


def _scheme(likeness: Likeness, content: bytes) -> Vector | Spikes | Grid:
    from limner.codec import compress as engine
    from limner.codec.container import unpack

    return engine._scheme_of(unpack(content), likeness.nets)


def _exact(likeness: Likeness, whole: Whole) -> np.ndarray:
    from limner.codec import compress as engine

    tiles: Bytes = cut(whole, likeness.image)[1]
    return engine._encoded(likeness.encoder, tiles, whole.name)
