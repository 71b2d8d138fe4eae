"""Translation between two domains that nobody has matched: there and back again must change nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from limner.core.moment import Moment
from limner.core.schedule import Schedule
from limner.core.spec import register
from limner.distances.base import Distance
from limner.distances.pixel import Absolute
from limner.models.base import Model, Pictures, Translator
from limner.models.history import History
from limner.objectives.base import Domains, Examples, Game, Objective, Penalty
from limner.objectives.games import LeastSquares
from limner.objectives.translation import (
    Terms,
    fool,
    insist_on_shape,
    judge,
    judge_of,
    other_of,
    project,
    translator_of,
)

BACK = "_back"
"""What is added to the names of the second translator, its critic and their terms."""


@register
@dataclass(frozen=True)
class CycleGAN(Objective):
    """Two translators, each against a critic of its own, and each undoing the other (Zhu et al. 2017, eq. 1–3).

    `translator` leads from the first domain A to the second, B, and `critic` knows B; `translator_back` and
    `critic_back` are the same the other way. Critics judge past fakes too where there are `history` nets.

    game: the adversarial loss
    cycle: weight of d(F(G(a)), a) + d(G(F(b)), b), a number or a curve
    identity: weight of d(G(b), b) + d(F(a), a), as a share of `cycle` (section 5.2, photo generation); 0 for none
    distance: d
    penalties: further terms of each critic's turn
    """

    game: Game = LeastSquares()
    cycle: Schedule = 10.0
    identity: float = 0.0
    distance: Distance = Absolute()
    penalties: tuple[Penalty, ...] = ()
    domains: ClassVar[Domains] = "two"
    players: ClassVar[dict[str, tuple[str, ...]]] = {
        "translator": ("translator", "translator_back"),
        "critic": ("critic", "critic_back"),
    }

    def loss(self, turn: str, nets: nn.ModuleDict, batch: Examples, at: Moment) -> Terms:
        there, back = translator_of(nets, "translator"), translator_of(nets, "translator_back")
        a, b = batch.x, other_of(batch)
        if turn == "translator":
            return self.translator_terms(nets, there, back, a, b, at)
        fakes = at.kept.pop("b", None), at.kept.pop("a", None)
        fake_b = there(a).detach() if fakes[0] is None else fakes[0]
        fake_a = back(b).detach() if fakes[1] is None else fakes[1]
        return self.critic_terms(nets, "", b, fake_b, at) | self.critic_terms(nets, BACK, a, fake_a, at)

    def check(self, nets: Mapping[str, Model]) -> None:
        translator = nets["translator"]
        assert isinstance(translator, Translator)
        for role in nets:
            insist_on_shape("CycleGAN", nets, role, translator.image)

    def translator_terms(
        self, nets: nn.ModuleDict, there: Translator, back: Translator, a: Pictures, b: Pictures, at: Moment
    ) -> Terms:
        """Both sides of the game, and what the translators owe each other; leaves their fakes for the critics."""
        n = len(a)
        # one pass for translations and for what should stay: rows do not see each other
        from_a = there(torch.cat([a, b]) if self.identity else a)
        from_b = back(torch.cat([b, a]) if self.identity else b)
        fake_b, fake_a = from_a[:n], from_b[:n]
        at.kept.update(b=fake_b.detach(), a=fake_a.detach())
        cycle = self.distance(back(fake_b), a) + self.distance(there(fake_a), b)
        terms = {
            "game": fool(self.game, judge_of(nets, "critic"), b, fake_b, at),
            f"game{BACK}": fool(self.game, judge_of(nets, "critic" + BACK), a, fake_a, at),
            "cycle": at(self.cycle) * cycle,
        }
        if self.identity:
            stays = self.distance(from_a[n:], b) + self.distance(from_b[n:], a)
            terms["identity"] = at(self.cycle) * self.identity * stays
        return terms

    def critic_terms(self, nets: nn.ModuleDict, which: str, real: Pictures, fake: Pictures, at: Moment) -> Terms:
        """One critic against the newest fakes or, where there is a store of them, past ones."""
        role = "history" + which
        if role in nets:
            history = nets[role]
            assert isinstance(history, History)
            fake = history(fake, at)
        terms = judge(self.game, self.penalties, judge_of(nets, "critic" + which), real, fake, at)
        return {f"{name}{which}": term for name, term in terms.items()}

    def after(self, turn: str, nets: nn.ModuleDict) -> None:
        if turn == "critic":
            for role in ("critic", "critic" + BACK):
                project(self.penalties, judge_of(nets, role))
