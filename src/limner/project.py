"""A run folder: what was asked, what happened, what can be resumed, and the model that came of it.

run.json            everything that decides the training
events.jsonl        what happened, a line each
previews/NIMG.png   the same codes at each look;  preview.png is the newest
curve.png           losses and scores over images
checkpoints/NIMG/   states to resume from: the newest two, and the best
latest, best        the names of those checkpoints
model.safetensors   the averaged weights with the best held-out score
"""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

import limner
from limner import alarms, likeness
from limner.core import parallel, pretrained, store
from limner.core.caption import captioned
from limner.core.errors import UserError
from limner.core.events import Alarm, Event, Finished, Look, Preview, Saved
from limner.core.health import Health
from limner.core.pixels import enlarge, save_png
from limner.core.rng import generator
from limner.core.spec import Spec, build, load_user_file
from limner.core.threads import Balance, balanced
from limner.curve import draw_curve
from limner.data.images import Images
from limner.data.pairs import BATCHES
from limner.journal import Journal, looks
from limner.metrics.visible import ALIKE
from limner.monitor import SIGNS, monitor
from limner.patience import History, Reason, patient, worn_out
from limner.run import Run, check
from limner.selection import fewer, relabelled, rows_of, set_aside
from limner.train import Budget, GaveUp, Source, State, settled, train
from limner.translations import watch_translations
from limner.trend import finished, regular, trend

KEPT = 2
"""Newest checkpoints that stay on disk, beside the best."""
REDRAW = 30.0
"""Seconds between two pictures of the learning curve."""
FINE = 0.01
"""Share of the first distance below which random features do not see what becomes better. In 64,000 images on 200
digits theirs rose from 0.0008 to 0.0011, where LeNet-5's fell from 2.5 to 1.5 (docs/systems/overfitting.md, seed 0)."""
UNSHOWN = {"nimg", "share", "score", *SIGNS, "repeated", "leaked", "label skill"}
"""What a history holds beside the scores of a model."""
SETTINGS = "run.json"
ROOM = "give another --out, or make room there"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `run.json` holds: the run and the data it is for."""

    run: Spec
    recipe: str
    source: str
    split: str
    fingerprint: str
    names: tuple[str, ...]
    counts: tuple[Any, ...]
    """Images of each class; where labels are numbers, rows of them."""
    total: int
    budget: Budget
    files: tuple[str, ...] = ()
    """The user's own Python files, copied into the run folder."""
    to: str = ""
    """Where the pictures of the second domain come from, if not from `source`."""
    size: tuple[int, ...] = ()
    """Height and width that pictures are read at; those of the networks where it is empty."""
    threads: int = 0
    """Threads that compute, on a CPU, in every session; 0 for as many as are free."""

    @classmethod
    def of(cls, images: Images, run: Spec, recipe: str, budget: Budget, **more: Any) -> Settings:
        """Of a run on these pictures; `more` are other fields, such as another source."""
        told: dict[str, Any] = {
            "source": images.source,
            "split": "train",
            "fingerprint": images.fingerprint,
            "names": images.names,
            "counts": images.counts(),
            "total": len(images),
        }
        return cls(run=run, recipe=recipe, budget=budget, **told | more)


class Project:
    """One run folder."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.settings = folder, settings

    @classmethod
    def create(cls, folder: Path, settings: Settings, files: tuple[str, ...] = ()) -> Project:
        """A new run folder. Raises UserError when there already is a run."""
        if (folder / SETTINGS).exists():
            raise UserError(f"{folder} already holds a run; add --resume to go on with it, or give another --out")
        check(build(settings.run, Run))
        project = cls(folder, dataclasses.replace(settings, files=tuple(Path(f).name for f in files)))
        with _one_line(folder, ROOM):
            folder.mkdir(parents=True, exist_ok=True)
            for file in files:
                shutil.copy(file, folder / Path(file).name)
            project.write_settings()
        return project

    @classmethod
    def open(cls, folder: Path) -> Project:
        """An existing run folder. Raises UserError when it is none."""
        path = folder / SETTINGS
        if not path.exists():
            raise UserError(f"{folder} holds no run: there is no {SETTINGS} in it; leave out --resume to begin one")
        try:
            said: dict[str, Any] = json.loads(path.read_text("utf-8"))
            budget = Budget(**said.pop("budget"))
            values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}
            settings = Settings(**values, budget=budget)
            for file in settings.files:
                load_user_file(str(folder / file))
            build(settings.run, Run)
        except (ValueError, TypeError, AttributeError, KeyError, UserError) as error:
            raise UserError(f"{path} is damaged ({error}); restore it, or begin again with another --out") from error
        return cls(folder, settings)

    def write_settings(self) -> None:
        """Write run.json. Raises UserError when the disk refuses."""
        with _one_line(self.folder, ROOM):
            store.write_text(self.folder / SETTINGS, json.dumps(dataclasses.asdict(self.settings), indent=1))

    def extend(self, budget: Budget) -> Project:
        """The same run with another budget."""
        project = Project(self.folder, dataclasses.replace(self.settings, budget=budget))
        project.write_settings()
        return project

    def work(
        self,
        images: Images,
        held_out: Images | None = None,
        *,
        device: torch.device | str = "cpu",
        stop: Callable[[], bool] = lambda: False,
        balance: Balance | None = None,
    ) -> Iterator[Event]:
        """Train from the newest whole checkpoint, or from the beginning, and keep the folder up to date.

        `held_out` are images that are not trained on; without them a tenth of `images` is set aside. `balance` chooses
        the number of threads as other programs come and go; without it that number stays as it is.
        Yields the training's events and Saved. Raises UserError when the images are not the run's.
        """
        if images.fingerprint != self.settings.fingerprint:
            raise UserError(
                f"{images.source} is not the data that {self.folder} was begun with "
                f"(fingerprint {images.fingerprint[:8]}, not {self.settings.fingerprint[:8]}); "
                "give that data or another --out"
            )
        run = build(self.settings.run, Run)
        state = State(run, torch.device(device))
        yield from self._load_newest(state)
        among, held_out = set_aside(images, held_out, run.seed)
        among = fewer(among, run)
        source = BATCHES[run.objective.domains]
        shown, order = relabelled(images, among, run)
        mirror = {"mirror": True} if run.mirror else {}
        batches = source(shown, run.batch, run.seed, device, order, **mirror)
        why = Reason(lambda: state.history, partial(self._why_stop, run))
        # only the first process looks: what the others find in their history is old
        health = partial(_health, state) if parallel.rank() == 0 else Health
        best = self._best(state) if run.rescues else None
        events = train(state, run, batches, until=self.settings.budget, stop=lambda: stop() or bool(why()),
                       health=health, best=best)  # fmt: skip
        events = events if balance is None else balanced(events, balance)
        with _one_line(self.folder, ROOM + " and go on with --resume"):
            if parallel.rank() > 0:
                yield from events
                return
            settled(state, run, batches)
            self._publish(state, run)
            self._delete_old()
            sampled = run.objective.sampled
            watched = monitor(events, state, rows_of(images, among), held_out, seed=run.seed, sampled=sampled)
            held = "the best state, as far as can be told" if run.keep == "best" else "the last state"
            watched = patient(watched, why, f"stop here; the model file holds {held}")
            tried = partial(_tried, run, source(held_out, min(256, len(held_out)), run.seed, device))
            watched = watch_translations(watched, state, tried)
            yield from self._keep(watched, state, run)

    def _keep(self, events: Iterator[Event], state: State, run: Run) -> Iterator[Event]:
        """Write down and save what deserves it."""
        with Journal(self.folder) as journal:
            drawn: float | None = None
            for event in events:
                journal.note(event)
                match event:
                    case Preview():
                        self._save_preview(event, first="samples" if run.objective.sampled else "reconstructions")
                    case Look():
                        yield self._save(state, run)
                        if drawn is None or time.monotonic() - drawn > REDRAW:
                            self._draw(journal)
                            drawn = time.monotonic()
                    case Alarm(kind="rescue"):
                        yield self._go_back(state, run)
                    case Finished():
                        self._draw(journal)
                    case _:
                        pass
                yield event

    def _why_stop(self, run: Run, history: History) -> str:
        """Why to stop before the budget is used up, in words, or nothing."""
        flat = finished(history) if self.settings.budget.flat else ""
        return flat or worn_out(history, run.patience)

    def _draw(self, journal: Journal) -> None:
        """The learning curve, with what is to be said of it."""
        seen = looks(journal.history)
        found = trend(seen) if regular(seen) else None
        since = found.since if found and found.kind != "too early" else None
        draw_curve(journal.history, self.folder / "curve.png", found.words if found else "", since)

    def _save_preview(self, event: Preview, first: str) -> None:
        """The preview to look at first needs no name; others say what they are of."""
        sheet = event.images[0]
        sheet = enlarge(sheet, max(1, 512 // max(sheet.shape[:2])))
        faults = (f"{name} {value:.1f}{' (!)' if value > ALIKE else ''}" for name, value in event.faults.items())
        sheet = captioned(sheet, [f"{event.nimg:,} images", *faults])
        kind = "" if event.name == first else f"-{event.name}"
        save_png(sheet, self.folder / "previews" / f"{event.nimg:010d}{kind}.png")
        save_png(sheet, self.folder / f"preview{kind}.png")

    def _save(self, state: State, run: Run) -> Saved:
        """A checkpoint; the model file too when it is the one to keep."""
        here = store.save_state(self.folder / "checkpoints" / _name(state), state.tree())
        self._publish(state, run)
        self._delete_old()
        return Saved(state.nimg, here)

    def _go_back(self, state: State, run: Run) -> Saved:
        """What came after the state that was gone back to is gone, so that a killed run goes on from there too."""
        for folder in self._checkpoints():
            if int(folder.name) > state.nimg:
                store.remove(folder)
                if self._read("best") == folder.name:
                    self._point("best", "")
        return self._save(state, run)

    def _best(self, state: State) -> dict[str, Any] | None:
        """The checkpoint to go back to, where it is not the present state."""
        if as_good_as_any(state.history) or not (name := self._read("best")) or int(name) >= state.nimg:
            return None
        try:
            return store.load_state(self.folder / "checkpoints" / name)
        except UserError:
            return None

    def _publish(self, state: State, run: Run) -> None:
        """Point to a new checkpoint, and make the model file if it is the one to keep so far.

        A run killed between the two does it when it goes on.
        """
        if not (self.folder / "checkpoints" / _name(state)).exists():
            return
        self._point("latest", _name(state))
        if self._read("best") == _name(state):
            return
        if run.keep == "last" or as_good_as_any(state.history):
            self.model(state, run).save(self.folder / "model.safetensors")
            self._point("best", _name(state))

    def model(self, state: State, run: Run) -> likeness.Likeness:
        """The averaged networks with the header of the model file."""
        said = self.settings
        scores = state.history[-1] if state.history else {}
        header = {
            "limner": limner.__version__,
            "torch": str(torch.__version__),
            "recipe": said.recipe,
            "objective": said.run["objective"],
            "data": {"source": Path(said.source).name, "fingerprint": said.fingerprint, "count": said.total},
            "counts": list(said.counts),
            "nimg": state.nimg,
            "seconds": round(state.seconds, 1),
            "seed": run.seed,
            "scores": {name: scores[name] for name in scores if name not in UNSHOWN and "weights of" not in name},
        } | pretrained.written(pretrained.used_by(state.nets.values()))
        return likeness.of(state.averaged, said.names, header)

    def _point(self, pointer: str, name: str) -> None:
        store.write_text(self.folder / pointer, name + "\n")

    def _read(self, pointer: str) -> str:
        path = self.folder / pointer
        return path.read_text("utf-8").strip() if path.exists() else ""

    def _checkpoints(self) -> list[Path]:
        """From old to new."""
        return sorted(p for p in (self.folder / "checkpoints").glob("[0-9]*") if p.name.isdigit())

    def _delete_old(self) -> None:
        """Old checkpoints, and what a killed session left unfinished."""
        best = self._read("best")
        for old in self._checkpoints()[:-KEPT]:
            if old.name != best:
                store.remove(old)
        for unfinished in self.folder.rglob(".*.part"):
            shutil.rmtree(unfinished) if unfinished.is_dir() else unfinished.unlink()

    def _load_newest(self, state: State) -> Iterator[Event]:
        """Take over the newest checkpoint that is whole; an Alarm for each that is not, which is set aside."""
        damaged: list[Path] = []
        for folder in reversed(self._checkpoints()):
            try:
                _load(state, folder)
                break
            except UserError as problem:
                damaged.append(folder)
                yield Alarm(int(folder.name), "damaged checkpoint", str(problem), "go on from the one before")
        else:
            if damaged:
                place = self.folder / "checkpoints"
                raise UserError(f"{place}: no checkpoint there is whole; begin again with another --out")
        if parallel.rank() == 0:
            for folder in damaged:
                shutil.rmtree(aside := folder.with_name(f"{folder.name}.damaged"), ignore_errors=True)
                folder.rename(aside)


def _tried(run: Run, held_out: Source) -> Any:
    """What translators are tried on at each look."""
    return run.objective.shown(held_out.at(0), generator(run.seed, 0, "held-out damage"))


def _name(state: State) -> str:
    return f"{state.nimg:010d}"


def _health(state: State) -> Health:
    """What the newest look says to the loop."""
    seen = state.history
    return Health(not as_good_as_any(seen), alarms.worried(seen), alarms.ill(seen))


def as_good_as_any(history: list[dict[str, float]]) -> bool:
    """Whether the newest score is the best, or one that has a standard error cannot be told from it: of such the
    later is kept, which has trained longer (after Breiman et al. 1984, section 3.4.3).
    """
    scores = [_score(look) for look in history]
    return not scores or scores[-1] <= min(scores) + slack(history[-1], scores[0])


def slack(look: dict[str, float], first: float) -> float:
    """Difference from the best that does not count: the standard error, or a share of what untrained networks score."""
    return max(look["error"], FINE * first) if "error" in look and math.isfinite(first) else 0.0


def _score(look: dict[str, float]) -> float:
    """What picks the best, lower is better; infinite where it is not a number."""
    score = look.get("score", math.inf)
    return score if math.isfinite(score) else math.inf


def _load(state: State, folder: Path) -> None:
    tree = store.load_state(folder)
    try:
        state.load(tree)
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise UserError(f"{folder} does not fit {SETTINGS}: {str(error).splitlines()[0]}") from error


@contextmanager
def _one_line(place: Path, advice: str) -> Generator[None, None, None]:
    """What the disk refuses, and a training that cannot be saved, as one line."""
    try:
        yield
    except GaveUp as error:
        raise UserError(f"{place}: {error}; begin again with a smaller rate, for example -o lr=1e-4") from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{error.filename or place}: {reason}; {advice}") from error
