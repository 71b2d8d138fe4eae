"""The arrangements that proofs compare can be planned: a proof that runs for minutes must not stop at the second."""

from __future__ import annotations

import pytest

from limner.core.pixels import Image
from limner.proofs.attention import ABLATION
from limner.recipes.base import Facts, plan


@pytest.mark.parametrize("name", ABLATION)
def test_every_arrangement_can_be_planned(name: str) -> None:
    recipe, assignments = ABLATION[name]
    planned = plan(recipe, Facts(Image(1, 28, 28), 60_000, 10, "cpu"), assignments)
    assert ("Attentive" in str(planned["nets"])) == ("attention" in name)
