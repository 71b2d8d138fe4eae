"""Sparse codes: each rule against a loop, running statistics against a diary, a planted dictionary found again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from limner.core.errors import UserError
from limner.core.events import Progress
from limner.core.latent import Gaussian, Sparse
from limner.core.moment import Moment
from limner.core.pixels import Image
from limner.core.schedule import Ramp
from limner.core.spec import build, catalog
from limner.data.batches import Batch, Batches
from limner.models.base import Encoder
from limner.models.plain import PlainEncoder, PlainGenerator
from limner.models.sparse import SparseEncoder, SparseGenerator, activity, fragments
from limner.models.sparsity import (
    AbsoluteCodes,
    BatchTopK,
    KSparse,
    Mode,
    Sparsity,
    TargetRate,
    TopK,
    WinnerTakeAll,
    nats,
)
from limner.objectives.sparse import SparseAutoencoder
from limner.recipes.base import Facts, plan
from limner.run import Run
from limner.train import Budget, State, train

IMAGE = Image(1, 8, 8)
H = torch.randn(20, 12, generator=torch.Generator().manual_seed(0))
TRAINING = Mode(True, 1.0, torch.tensor(0.3))
USE = Mode(False, 1.0, torch.tensor(0.3))
RULES = [AbsoluteCodes(), BatchTopK(3), KSparse(3), TargetRate(), TopK(3), WinnerTakeAll(0.25)]


def encoder(sparsity: Sparsity = TopK(3), window: int = 10) -> SparseEncoder:
    return SparseEncoder(IMAGE, Sparse(24, 3), sparsity, window=window)


def pictures(n: int = 16) -> torch.Tensor:
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def sparse_run(sparsity: Sparsity = TopK(3), **more: Any) -> Run:
    nets = {"encoder": encoder(sparsity), "generator": SparseGenerator(IMAGE, Sparse(24, 3))}
    return Run(**({"objective": SparseAutoencoder(), "nets": nets, "batch": 8, "average": 50.0, "seed": 3} | more))


def test_every_rule_is_here() -> None:
    assert {type(rule).__name__ for rule in RULES} == set(catalog(Sparsity))


def test_top_k_keeps_the_largest_of_each_row() -> None:
    for row, code in zip(H, TopK(3).code(H, TRAINING), strict=True):
        best = sorted(row.tolist())[-3:]
        assert code.tolist() == [v if v in best and v > 0 else 0.0 for v in row.tolist()]


def test_k_sparse_does_not_rectify_and_widens_in_use() -> None:
    h = H - 10
    assert (KSparse(3).code(h, TRAINING) != 0).sum(1).tolist() == [3] * 20
    wide = KSparse(3, widen=2).code(h, USE)
    assert (wide != 0).sum(1).tolist() == [6] * 20 and (wide <= 0).all()


def test_a_curve_moves_k() -> None:
    rule = TopK(Ramp(6, 2, finish=0.5))
    for progress, k in ((0.0, 6), (0.25, 4), (0.5, 2), (1.0, 2)):
        assert (rule.code(H + 10, Mode(True, progress, torch.tensor(0.0))) > 0).sum(1).tolist() == [k] * 20


def test_batch_top_k_shares_its_budget_and_uses_a_threshold_later() -> None:
    code = BatchTopK(3).code(H, TRAINING)
    assert (code > 0).sum() == 60 and len(set((code > 0).sum(1).tolist())) > 1
    assert code[code > 0].min() >= H[code == 0].max()
    later = BatchTopK(3).code(H, USE)
    assert torch.equal(later, torch.where(H > 0.3, H, 0.0))


def test_winners_take_all_by_column() -> None:
    code = WinnerTakeAll(0.25).code(H, TRAINING)
    for column, kept in zip(H.T, code.T, strict=True):
        best = sorted(column.tolist())[-5:]
        assert kept.tolist() == [v if v in best and v > 0 else 0.0 for v in column.tolist()]
    assert torch.equal(WinnerTakeAll(0.25).code(H, USE), H.relu())


def test_nats_between_coins() -> None:
    for p, q in ((0.05, 0.05), (0.05, 0.3), (0.9, 0.2)):
        exact = p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))
        assert nats(p, torch.tensor([q])).item() == pytest.approx(exact, abs=1e-6)
    code = TargetRate(0.1, 2.0).code(H, TRAINING)
    by_hand = 2.0 * sum(nats(0.1, column.mean()[None]).item() for column in code.T)
    assert TargetRate(0.1, 2.0).price(code).tolist() == pytest.approx([by_hand] * 20, rel=1e-5)


def test_the_price_of_a_code_is_its_sum() -> None:
    code = AbsoluteCodes(0.5).code(H, TRAINING)
    by_hand = [0.5 * sum(max(v, 0.0) for v in row) for row in H.tolist()]
    assert AbsoluteCodes(0.5).price(code).tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_rules_reach_what_they_kept_and_in_use_see_one_picture_at_a_time(rule: Sparsity) -> None:
    h = H.clone().requires_grad_()
    code = rule.code(h, TRAINING)
    code.sum().backward()
    assert h.grad is not None and torch.equal(h.grad != 0, code != 0)
    assert (code.detach().abs() > rule.level).float().mean() < 0.6 and (rule.price(code) >= 0).all()
    alone = torch.cat([rule.code(row[None], USE) for row in H])
    torch.testing.assert_close(alone, rule.code(H, USE))


def test_silence_is_counted_in_images_over_a_stated_window() -> None:
    net = encoder(window=10)
    code = torch.zeros(4, 24)
    code[1, :5] = 1.0
    for step in range(1, 4):
        net.count(code, 4)
        assert net.silent.tolist() == [0] * 5 + [4 * step] * 19
        assert net.dead.any().item() == (4 * step >= 10)
    code[0, 7] = 0.5
    net.count(code, 4)
    assert not net.dead[7] and net.dead.sum() == 18
    assert net.threshold.item() == pytest.approx((3 * 1.0 + 0.5) / 4)


def test_roles_made_under_one_seed_begin_tied_and_atoms_stay_of_length_one() -> None:
    run = sparse_run()
    state = State(run, torch.device("cpu"))
    one, other = state.nets["encoder"].weight, state.nets["generator"].weight
    assert torch.equal(one, other)
    assert not torch.equal(one, State(sparse_run(seed=4), torch.device("cpu")).nets["encoder"].weight)
    for _ in train(state, run, planted_source(run), until=Budget(images=80)):
        pass
    assert not torch.equal(one, other)
    torch.testing.assert_close(other.norm(dim=1), torch.ones(24))
    torch.testing.assert_close(state.averaged["generator"].dictionary.norm(dim=1), torch.ones(24))


def test_a_dictionary_adds_atoms_and_cuts_straight_through() -> None:
    net = SparseGenerator(IMAGE, Sparse(24, 3))
    z = torch.zeros(2, 24)
    z[0, 4], z[1, 5] = 2.0, 100.0
    x = net(z.requires_grad_())
    torch.testing.assert_close(x[0].flatten(), 2 * net.dictionary[4])
    assert x[1].abs().max() == 1.0
    x.sum().backward()
    torch.testing.assert_close(z.grad, net.dictionary.sum(1).expand(2, 24))


def test_dead_codes_learn_from_what_is_left_and_living_ones_do_not() -> None:
    net, generator = encoder(window=1), SparseGenerator(IMAGE, Sparse(24, 3))
    net.silent[:6] = 5
    x = pictures()
    h = net.before(x)
    SparseAutoencoder().left_to_the_dead(net, generator, h, x).mean().backward()
    assert generator.weight.grad is not None
    moved = generator.weight.grad.abs().sum(1) > 0
    assert moved[:6].any() and not moved[6:].any()
    net.silent.zero_()
    assert SparseAutoencoder().left_to_the_dead(net, generator, h, x).tolist() == [0.0] * 16


def test_activity_against_a_loop() -> None:
    net, generator = encoder().eval(), SparseGenerator(IMAGE, Sparse(24, 3)).eval()
    x = pictures(40)
    seen = activity(net, generator, x)
    code = net(x).mean
    assert seen.active == pytest.approx((code != 0).sum(1).float().mean().item())
    assert seen.dead == pytest.approx(sum((column == 0).all().item() for column in code.T) / 24)
    error = ((generator(code) - x) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()
    assert seen.explained == pytest.approx(1 - error.item(), abs=1e-5) and seen.images == 40


def test_fragments_are_pieces_of_pictures_seen_through_a_window() -> None:
    x = torch.rand(5, 2, 7, 14, generator=torch.Generator().manual_seed(2))
    x[:, :, :, :7] = -1.0
    places = torch.tensor([[0.0, 1.0], [0.5, 0.5], [1.0, 0.9], [0.2, 1.0], [0.6, 0.7], [0.5, 1.0], [0.5, 0.0]])
    spare = torch.eye(7, 2 * 7 * 14)
    for j, atom in enumerate(fragments(x, 1.5, places, spare).view(-1, 2, 7, 14)[:6]):
        by_hand = torch.zeros(2, 7, 14)
        for row in range(7):
            for column in range(14):
                far = (row - 1 - 5 * places[j, 0]) ** 2 + (column - 2 - 10 * places[j, 1]) ** 2
                by_hand[:, row, column] = (x[j % 5] - x.mean(0))[:, row, column] * math.exp(-far / (2 * 1.5**2))
        torch.testing.assert_close(atom, by_hand / by_hand.norm(), rtol=1e-3, atol=1e-4)
    # where pictures do not differ
    torch.testing.assert_close(fragments(x[:1], 1.5, places, spare), spare)


def test_both_roles_begin_at_the_same_fragments_and_at_the_ground() -> None:
    nets = {
        "encoder": SparseEncoder(IMAGE, Sparse(24, 3), TopK(3), ground=-1.0),
        "generator": SparseGenerator(IMAGE, Sparse(24, 3)),
    }
    run = sparse_run(nets=nets, objective=SparseAutoencoder(fragments=1.0))
    state, x = State(run, torch.device("cpu")), pictures()
    at = Moment(0, 0.0, torch.Generator().manual_seed(0), 16)
    run.objective.loss("both", state.nets, Batch(x, None), at)
    assert torch.equal(state.nets["encoder"].weight, state.nets["generator"].weight)
    places = torch.rand(24, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(state.nets["generator"].weight.data, fragments(x, 1.0, places, torch.zeros(24, 64)))
    assert (state.nets["encoder"].middle == -1).all()
    torch.testing.assert_close(state.nets["generator"].middle.data, x.mean(0).flatten())


def test_fragments_are_refused_beside_a_trunk() -> None:
    trunk = PlainEncoder(IMAGE, Gaussian(4))
    nets = {
        "encoder": SparseEncoder(IMAGE, Sparse(24, 3), TopK(3), trunk=trunk),
        "generator": SparseGenerator(IMAGE, Sparse(24, 3)),
    }
    SparseAutoencoder().check(nets)
    with pytest.raises(UserError, match=r"objective\.fragments=0"):
        SparseAutoencoder(fragments=3.0).check(nets)


def planted_source(run: Run, seed: int = 0) -> Batches:
    """8×8 pictures that are sums of 3 of 24 planted atoms."""
    from limner.proofs.sparse import planted

    return Batches(planted(4000, 8, 24, 3, seed)[1], run.batch, run.seed)


def test_a_planted_dictionary_is_found_again() -> None:
    from limner.proofs.sparse import planted, recovered

    truth, images = planted(4000, 8, 48, 3, 0)
    chosen = plan("sparse", Facts(images.image, 4000, 0, "cpu"), (
        "encoder.latent=Sparse(96, 3)", "generator.latent=Sparse(96, 3)", "encoder.sparsity=TopK(3)", "lr=3e-3",
    ))  # fmt: skip
    run = build(chosen, Run)
    state = State(run, torch.device("cpu"))
    assert recovered(truth, state.averaged["generator"].dictionary) < 0.1
    for _ in train(state, run, Batches(images, run.batch, 0), until=Budget(images=60_000), looks=1):
        pass
    assert recovered(truth, state.averaged["generator"].dictionary) >= 0.95


@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_every_rule_resumes_exactly(rule: Sparsity, tmp_path: Path) -> None:
    from limner.core import store

    def go(state: State, images: int) -> None:
        events = train(state, run, planted_source(run), until=Budget(images=32), looks=1)
        while state.nimg < images:
            assert next(e for e in events if isinstance(e, Progress))
        events.close()

    run = sparse_run(rule)
    whole, pieces = State(run, torch.device("cpu")), State(run, torch.device("cpu"))
    go(whole, 32)
    for k in (8, 16, 24, 32):
        go(pieces, k)
        store.save_state(tmp_path / str(k), pieces.tree())
        pieces = State(run, torch.device("cpu"))
        pieces.load(store.load_state(tmp_path / str(k)))
    for key in ("nets", "average"):
        one, other = whole.tree()[key], pieces.tree()[key]
        assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert whole.nets["encoder"].counted == 4


@pytest.mark.parametrize("rule", [TopK(24), KSparse(Ramp(30, 2)), BatchTopK(0), WinnerTakeAll(1.0), TargetRate(0.0)])
def test_a_code_that_cannot_be_sparse_is_refused(rule: Sparsity) -> None:
    with pytest.raises(UserError, match=type(rule).__name__):
        encoder(rule)


@pytest.mark.parametrize(("dim", "active"), [(1, 1), (8, 8), (8, 0), (8, 9)])
def test_a_prior_that_is_not_sparse_is_refused(dim: int, active: int) -> None:
    with pytest.raises(UserError, match="not sparse"):
        Sparse(dim, active)


def test_networks_that_cannot_play_are_refused_in_one_line() -> None:
    latent = Gaussian(24)
    dense: Encoder = PlainEncoder(IMAGE, latent, width=8)
    with pytest.raises(UserError, match="needs a SparseEncoder as encoder"):
        State(
            sparse_run(nets={"encoder": dense, "generator": SparseGenerator(IMAGE, Sparse(24, 3))}), torch.device("cpu")
        )
    with pytest.raises(UserError, match="needs a SparseGenerator as generator"):
        nets = {"encoder": encoder(), "generator": PlainGenerator(IMAGE, Sparse(24, 3), width=8)}
        State(sparse_run(nets=nets), torch.device("cpu"))
