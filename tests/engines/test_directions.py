"""Directions: what was planted is found, what is known in closed form is met, every family can be asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from limner.core.errors import UserError
from limner.core.latent import Gaussian, Mixed, Uniform
from limner.core.pixels import Image
from limner.core.spec import build, catalog
from limner.explore import directions, labelled, layers
from limner.explore.spaces import Space, space
from limner.goals.base import Scene
from limner.models.base import Generator
from limner.models.linear import LinearEncoder, LinearGenerator
from limner.models.plain import PlainGenerator
from limner.models.style import StyleGenerator

pytest.importorskip("sklearn")
IMAGE = Image(1, 4, 4)
DIM = 8


def linear(output: str = "linear") -> Space:
    """x = A z + b, with the columns of A of lengths 1 to 8, not orthogonal."""
    net = build({"is": "LinearGenerator", "output": output}, LinearGenerator, image=IMAGE, latent=Gaussian(DIM)).eval()
    net.requires_grad_(False)
    with torch.no_grad():
        net.entry.dense.weight.copy_(torch.randn(16, DIM) * torch.arange(1, DIM + 1))
    return space(Scene({"generator": net}))


def unit(*shape: int) -> Tensor:
    v = torch.randn(*shape, generator=torch.Generator().manual_seed(5))
    return v / v.norm(dim=-1, keepdim=True)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a.float(), b.float(), dim=-1)


@pytest.mark.parametrize("machine", ["logistic", "svm"])
def test_a_planted_label_is_found(machine: directions.Machine) -> None:
    """Of codes whose label is the side of a plane, the plane's normal."""
    true, u = unit(3, DIM), torch.randn(4_000, DIM)
    found = directions.normals(u, u @ true.T > 0.3, machine)
    assert (cosine(found, true) > 0.99).all()
    assert torch.allclose(found.norm(dim=1), torch.ones(3))


def test_a_planted_difference_is_found() -> None:
    true, u = unit(2, DIM), torch.randn(8_000, DIM)
    assert (cosine(directions.differences(u, u @ true.T > 0), true) > 0.99).all()
    groups = torch.tensor([[True], [True], [False]])
    given = torch.tensor([[2.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    assert torch.allclose(directions.differences(given, groups), torch.tensor([[3.0, -4.0]]) / 5)


def test_others_are_projected_out() -> None:
    given = unit(4, DIM)
    found = directions.apart(given, ("a", "b", "c", "d"))
    products = found @ given.T
    assert (products - torch.diag(products.diag())).abs().max() < 1e-5 and (products.diag() > 0).all()
    assert torch.allclose(found.norm(dim=1), torch.ones(4))
    with pytest.raises(UserError, match="'b' cannot be told apart"):
        directions.apart(torch.stack([given[0], given[1], given[1]]), ("a", "b", "c"))


def test_sefa_of_a_linear_generator_is_its_singular_vectors() -> None:
    within = linear()
    net = within.scene.generator
    assert isinstance(net, LinearGenerator)
    a = layers.affine(within)
    assert torch.allclose(a, net.entry.dense.weight, atol=1e-4)
    right = torch.linalg.svd(net.entry.dense.weight).Vh
    assert (cosine(directions.leading(a, 5), right[:5]).abs() > 0.9999).all()


def test_pca_of_a_linear_generator_is_its_singular_vectors() -> None:
    """With z white, pictures vary along the left singular vectors, and codes with them along the right ones."""
    within = linear()
    net = within.scene.generator
    assert isinstance(net, LinearGenerator)
    z = labelled.drawn(within, 4_000)
    z = (z - z.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(z.T)).T)
    h = layers.activations(within, z)
    right = torch.linalg.svd(net.entry.dense.weight).Vh
    assert (cosine(directions.components(h, z, 4), right[:4]).abs() > 0.999).all()
    few = z[:12]  # fewer codes than activations: the other table
    wide, narrow = (directions.components(h[:12].repeat(1, n), few, 2) for n in (1, 1_000))
    assert (cosine(wide, narrow) > 0.999).all()


def test_principal_components_of_styles() -> None:
    true = torch.linalg.qr(torch.randn(DIM, DIM)).Q.T
    w = torch.randn(3_000, DIM) * torch.arange(DIM, 0, -1) @ true
    assert (cosine(directions.components(w, w, 3), true[:3]).abs() > 0.99).all()


def test_styles_are_modulated_by_every_layer() -> None:
    """In w all modulations are read at once: shapes and values of their weights, one above the other."""
    net = StyleGenerator(Image(3, 16, 16), Gaussian(6), width=4, widest=8).eval()
    a = layers.affine(space(Scene({"generator": net}), "w"))
    weights = [part.weight for name, part in net.named_modules() if name.endswith(".style")]
    assert a.shape == (sum(len(w) for w in weights), 6)
    rows = {tuple(row.round(decimals=4).tolist()) for row in torch.cat(weights)}
    assert {tuple((row + 0.0).round(decimals=4).tolist()) for row in a} == rows or torch.allclose(
        (a.T @ a), sum((w.T @ w for w in weights), torch.zeros(6, 6)), atol=1e-3
    )
    with pytest.raises(UserError, match="--space w"):
        layers.affine(space(Scene({"generator": net})))


NONE = {
    "FlowGenerator",
    "MixtureGenerator",
    "KernelDensityGenerator",
    "RBMGenerator",
    "MaskedGenerator",
    "RowLSTMGenerator",
}
"""Families whose code meets no affine layer: they choose by it, or compare it with probabilities."""


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("name", sorted(catalog(Generator)))
def test_every_family_can_be_asked(name: str, classes: int) -> None:
    net = build(name, Generator, image=Image(1, 8, 8), classes=classes).eval().requires_grad_(False)
    label = torch.arange(2) if classes else None
    within = space(Scene({"generator": net}), "w" if hasattr(net, "synthesis") else "z", label)
    if name in NONE:
        with pytest.raises(UserError, match="--how"):
            layers.affine(within, label)
        return
    a = layers.affine(within, label)
    assert a.shape[1] == within.latent.dim
    first = directions.leading(a, 2)
    assert torch.allclose(first @ first.T, torch.eye(2), atol=1e-4)
    if isinstance(net, PlainGenerator) and not classes:
        assert torch.allclose(a, net.entry.dense.weight, atol=1e-4)


def test_codes_of_pictures_and_of_draws_give_the_same_direction() -> None:
    """A label that is a side of a plane, learned from an encoder's codes, and from draws that a judge sees."""
    within = linear()
    net, true = within.scene.generator, unit(DIM)
    assert isinstance(net, LinearGenerator)
    inverse = torch.linalg.pinv(net.entry.dense.weight)
    encoder = LinearEncoder(IMAGE, Gaussian(DIM)).eval()
    with torch.no_grad():
        encoder.head.dense.weight.zero_()[:DIM] = inverse
        encoder.head.dense.bias.zero_()[:DIM] = -inverse @ net.entry.dense.bias
    within = space(Scene({"generator": net, "encoder": encoder}))
    z = labelled.drawn(within, 3_000, seed=3)
    x, told = within.decode(z), torch.stack([z @ true > 0, z @ true <= 0], 1)
    seen = labelled.of_pictures(within, x, told, ("on", "off"))
    assert torch.allclose(seen.points, z, atol=1e-3)
    assert (cosine(directions.normals(seen.points, seen.told), torch.stack([true, -true])) > 0.99).all()
    judge = labelled.by_pixels(x, told, ("on", "off"), exclusive=True)
    assert int(judge.said.rpartition("%")[0].rpartition(" ")[2]) > 95
    drawn = labelled.of_draws(within, judge, 4_000)
    normals = directions.normals(drawn.points, drawn.told)
    assert cosine(normals[0], true) > 0.98
    steps = directions.stepped(normals, z)
    found = directions.Directions(("on", "off"), steps, "z", "labels", directions.mark(net))
    (on, other), _ = labelled.purity(within, found, judge, z[:300])
    assert on > 0.8 and other == pytest.approx(on, abs=1e-4)  # two that exclude each other move as far


def test_purity_tells_what_else_moves() -> None:
    """Along the first of two independent labels only the first moves; along their sum both."""
    within = linear()
    pair = torch.eye(DIM)[:2]
    scale = torch.linalg.pinv(within.scene.generator.entry.dense.weight)  # pyright: ignore
    shift = within.scene.generator.entry.dense.bias  # pyright: ignore
    judge = labelled.Judge(
        ("a", "b"), lambda x: (4 * (x.flatten(1) - shift) @ scale.T @ pair.T).sigmoid(), False, "the truth"
    )
    both = torch.stack([pair[0], (pair[0] + pair[1]) / 2**0.5])
    found = directions.Directions(("a", "b"), both, "z", "labels", "")
    (own, other), (_, along) = labelled.purity(within, found, judge, labelled.drawn(within, 200))
    assert own > 0.8 and other < 1e-3 and along > 0.6


def test_a_step_is_a_standard_deviation() -> None:
    z = torch.randn(5_000, DIM) * torch.arange(1, DIM + 1)
    steps = directions.stepped(3 * torch.eye(DIM), z)
    assert torch.allclose(steps, torch.diag(z.std(0)), rtol=1e-4)
    mixed = LinearGenerator(IMAGE, Mixed(parts=(Gaussian(3), Uniform(2)))).eval()
    sigma = directions.spread(space(Scene({"generator": mixed})))
    assert sigma == pytest.approx(torch.tensor([1.0, 1, 1, 3**-0.5, 3**-0.5]), rel=0.03) and sigma[0] == sigma[2]


def test_files_are_read_back_and_serve_as_goals(tmp_path: Path) -> None:
    from limner.goals.code import Direction

    found = directions.Directions(("thick", "9"), unit(2, DIM), "z", "labels", "abc", ((0.5, 0.1), (0.2, 0.3)))
    path = directions.save(found, tmp_path / "new" / "directions.safetensors", judge="me")
    again = directions.load(tmp_path / "new")
    assert torch.equal(again.steps, found.steps) and again.purity == found.purity and again.model == "abc"
    with pytest.raises(UserError, match="did you mean thick"):
        again.step("thik")
    assert Direction("thick", str(path)).which in again.names
    (tmp_path / "x.safetensors").write_bytes(b"no")
    for wrong, says in ((tmp_path / "x.safetensors", "not a directions"), (tmp_path / "none", "no such file")):
        with pytest.raises(UserError, match=says):
            directions.load(wrong)


def test_labels_that_cannot_be_learned_are_left_out() -> None:
    told = torch.zeros(40, 3, dtype=torch.bool)
    told[:20, 1] = told[:3, 2] = True
    assert labelled.Labelled(torch.randn(40, 2), told, ("none", "half", "few")).usable().names == ("half",)
    with pytest.raises(UserError, match="--data"):
        labelled.Labelled(torch.randn(4, 2), told[:4], ("none", "half", "few")).usable()
