"""The sparse encoder inside the GAN: the terms against loops, who is moved by what, exact resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from limner.core import store
from limner.core.errors import UserError
from limner.core.events import Progress
from limner.core.latent import Sparse
from limner.core.moment import Moment
from limner.core.optim import SGD, Adam
from limner.core.pixels import Image
from limner.core.spec import build
from limner.data.batches import Batch, Batches
from limner.models.base import Encoder
from limner.models.light import LightEncoder, LightGenerator
from limner.models.plain import PlainCritic, PlainGenerator
from limner.models.sparse import SparseEncoder
from limner.models.sparsity import TopK
from limner.objectives.gan import GAN
from limner.objectives.sparsegan import SparseGAN, sizes
from limner.proofs.sparse import planted
from limner.recipes.base import Facts, plan
from limner.run import Player, Run
from limner.train import Budget, State, train

IMAGE = Image(1, 8, 8)
CODES = Sparse(24, 3)
CPU = torch.device("cpu")


def sparse_run(**more: Any) -> Run:
    trunk = LightEncoder(IMAGE, width=4, widest=8, features=8)
    nets = {
        "generator": LightGenerator(IMAGE, CODES, width=4, widest=8),
        "encoder": SparseEncoder(IMAGE, CODES, TopK(3), trunk=trunk, window=16),
        "critic": PlainCritic(IMAGE, width=8),
    }
    return Run(**({"objective": SparseGAN(), "nets": nets, "batch": 8, "average": 50.0, "seed": 3} | more))


def batch(n: int = 8) -> Batch:
    return Batch(torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1, None)


def moment(rows: slice = slice(None), n: int = 8, nimg: int = 0) -> Moment:
    return Moment(nimg, 0.0, torch.Generator().manual_seed(2), n, rows)


def nets(run: Run | None = None) -> Any:
    """Dense networks, whose rows do not see each other."""
    made = State(run or sparse_run(), CPU).nets
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made["generator"] = PlainGenerator(IMAGE, CODES, width=8)
    return made


def test_terms_against_a_loop() -> None:
    objective, players = SparseGAN(every=2, reconstruction=3.0), nets()
    encoder, generator = players["encoder"], players["generator"]
    encoder.silent[:4] = 100
    terms = objective.loss("generator", players, batch(), moment())
    plain = GAN().loss("generator", players, batch(), moment())
    torch.testing.assert_close(terms["game"], plain["game"])
    distances, lifts = [], []
    for x in batch().x[::2]:
        h = encoder.before(x[None])
        best = sorted(h[0].tolist())[-3:]
        code = torch.tensor([[max(v, 0.0) if v in best else 0.0 for v in h[0].tolist()]])
        distances.append((generator(code) - x).square().mean().item())
        lifts.append(sum(max(best) - v for v in h[0, :4].tolist()) / 4)
    assert terms["distance"].mean().item() == pytest.approx(3.0 * sum(distances) / 4, rel=1e-4)
    assert terms["price"].mean().item() == pytest.approx(objective.revival * sum(lifts) / 4, rel=1e-4)
    assert (terms["distance"][1::2] == 0).all()


@pytest.mark.parametrize("every", [1, 2, 3])
def test_two_processes_encode_the_pictures_that_one_would(every: int) -> None:
    objective, players = SparseGAN(every=every), nets()
    # after the first step, where processes share the middle of their pictures
    whole = objective.loss("generator", players, batch(), moment(nimg=8))
    for rows in (slice(0, 4), slice(4, 8)):
        part = objective.loss("generator", players, Batch(batch().x[rows], None), moment(rows, nimg=8))
        torch.testing.assert_close(part["distance"], whole["distance"][rows])
        torch.testing.assert_close(part["game"], whole["game"][rows])


def test_the_generators_turn_moves_both_and_lifts_the_dead() -> None:
    players = nets()
    encoder = players["encoder"]
    encoder.silent[7] = 100
    term = SparseGAN(reconstruction=0.0).loss("generator", players, batch(), moment())["price"]
    term.mean().backward()
    assert encoder.bias.grad[7] < 0 and (encoder.bias.grad[:7] == 0).all()
    players.zero_grad()
    SparseGAN().loss("generator", players, batch(), moment())["distance"].mean().backward()
    for role in ("encoder", "generator"):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in players[role].parameters())


def test_activity_inside_the_generator_has_a_price_when_asked() -> None:
    players = nets()
    assert "activations" not in SparseGAN().loss("generator", players, batch(), moment())
    terms = SparseGAN(activations=0.5).loss("generator", players, batch(), moment())
    assert terms["activations"].shape == (8,) and terms["activations"].min() > 0
    layer = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    x = torch.randn(5, 3)
    with sizes(layer, True) as heard:
        layer(x)
    inner = layer[0](x)
    torch.testing.assert_close(torch.stack(heard), torch.stack([inner.abs().mean(), inner.relu().mean()]))
    with sizes(layer, False) as nothing:
        layer(x)
    assert nothing == [] and not any(m._forward_hooks for m in layer)


@pytest.mark.parametrize("more", [
    {}, {"players": {"generator": Player(Adam()), "critic": Player(SGD(0.01, momentum=0.9), steps=2)}},
    {"objective": SparseGAN(activations=0.1, every=3)}, {"precision": "bf16"},
], ids=["plain", "two optimizers", "activations", "bf16"])  # fmt: skip
def test_it_resumes_exactly(more: dict[str, Any], tmp_path: Path) -> None:
    run = sparse_run(**more)
    images = planted(100, 8, 24, 3, 0)[1]
    end = 4 * run.batch * max(run.player(turn).steps for turn in run.objective.players)

    def go(state: State, until: int) -> None:
        events = train(state, run, Batches(images, run.batch, 3), until=Budget(images=end), looks=1)
        while state.nimg < until:
            assert next(e for e in events if isinstance(e, Progress))
        events.close()

    whole, pieces = State(run, CPU), State(run, CPU)
    go(whole, end)
    for k in range(4):
        go(pieces, (k + 1) * end // 4)
        store.save_state(tmp_path / str(k), pieces.tree())
        pieces = State(run, CPU)
        pieces.load(store.load_state(tmp_path / str(k)))
    for key in ("nets", "average"):
        one, other = whole.tree()[key], pieces.tree()[key]
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert (whole.nets["encoder"].silent > 0).any()


def test_the_recipe_trains_with_and_without_labels() -> None:
    images = planted(200, 8, 24, 3, 0)[1]
    for classes in (0, 3):
        facts = Facts(images.image, 200, classes, "cpu")
        run = build(plan("sparsegan", facts, ("batch=8", "generator.width=4", "critic.width=4")), Run)
        labels = (torch.arange(200) % 3).numpy() if classes else None
        source = Batches(replace(images, labels=labels), run.batch, 0)
        events = train(State(run, CPU), run, source, until=Budget(images=16), looks=1)
        losses = [e.losses for e in events if isinstance(e, Progress)]
        assert len(losses) == 2 and losses[-1]["generator/distance"] > 0 and losses[-1]["generator/active"] <= 32


def test_a_dense_encoder_and_codes_of_another_length_are_refused() -> None:
    dense: Encoder = LightEncoder(IMAGE, CODES, width=4, widest=8, features=8)
    with pytest.raises(UserError, match="needs a SparseEncoder as encoder"):
        State(sparse_run(nets=sparse_run().nets | {"encoder": dense}), CPU)
    other = LightGenerator(IMAGE, Sparse(20, 3), width=4, widest=8)
    with pytest.raises(UserError, match="SparseGAN: the encoder's latent must be the generator's"):
        State(sparse_run(nets=sparse_run().nets | {"generator": other}), CPU)


@pytest.mark.parametrize("total", [8, 10, 3])
def test_a_term_of_some_rows_has_their_mean(total: int) -> None:
    """One picture in four is encoded; a batch that four does not divide weighs its terms no more for it."""
    gan, term = SparseGAN(every=4), torch.arange(1.0, 1.0 + -(-total // 4))
    full = gan.spread(term, slice(0, None, 4), batch(total), moment(n=total))
    assert full.mean().item() == pytest.approx(term.mean().item())
