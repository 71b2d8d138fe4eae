"""The part of a page that asks whether pictures were learned by heart: the most suspicious samples beside controls."""

from __future__ import annotations

from collections.abc import Sequence

from limner.report.figures import figure, tiles
from limner.report.markup import Inside, Markup, join, tag
from limner.report.page import Section, table
from limner.report.pictures import side_by_side
from limner.report.suspects import TAIL, Share, Suspects


def memory(found: Sequence[tuple[str, Suspects, Share]], controls: Suspects | None, searched: int) -> Section:
    """Samples nearest to training pictures, those pictures, and held-out ones in the same way."""
    figures = [figure(name, _rows(suspects), tag("p", words(share), class_="quiet")) for name, suspects, share in found]
    if controls is not None:
        never = tag("p", "These were never trained on: what looks alike here is alike by nature.", class_="quiet")
        figures.append(figure("control: held-out real pictures", _rows(controls), never))
    lead = (
        "The most suspicious samples: nearest to a training picture, measured by how far they are from held-out ones "
        f"(the ratio; 0 is a copy). Beside each are the three nearest of {searched:,} training pictures. "
        "Compare with the control: held-out pictures chosen in the same way."
    )
    return Section("memory", "Learned by heart?", side_by_side(figures), lead)


def unknown(reasons: Sequence[tuple[str, str]]) -> Section:
    """Why nothing can be said."""
    said = [tag("p", tag("b", name), ": ", reason) for name, reason in reasons]
    return Section("memory", "Learned by heart?", join(said))


def words(share: Share) -> str:
    """What the share of suspicious samples says."""
    told = (
        f"{share.value:.1%} ({share.low:.1%} – {share.high:.1%}) of {share.n:,} samples are as near to training "
        f"pictures as only {TAIL:.0%} of held-out pictures are, and {share.beyond:,} nearer than any of those"
    )
    return f"{told}: more than chance; look at the pairs." if share.copies else f"{told}: no sign of copying."


def _rows(suspects: Suspects) -> Markup:
    rows: list[Sequence[Inside]] = [
        (
            tiles(suspects.pictures[k : k + 1], "suspicious picture", columns=1),
            f"{ratio:.2f}",
            tiles(suspects.neighbours[k], "its nearest training pictures", columns=len(suspects.neighbours[k])),
        )
        for k, ratio in enumerate(suspects.ratios)
    ]
    return table(("picture", "ratio", "nearest in training"), rows, kind="pictures")
