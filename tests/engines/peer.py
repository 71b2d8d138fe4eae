"""One of several processes that train together: started by test_parallel.py under torchrun, or called alone by it.

python peer.py FOLDER CASE [DIE_AT]      rank 0 writes FOLDER/CASE; rank 1 kills itself after DIE_AT images
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

from limner.augments.ada import ADA
from limner.core import parallel, store
from limner.core.errors import UserError
from limner.core.events import Look, Progress
from limner.core.latent import Categorical, Gaussian, Mixed, Sparse, Uniform
from limner.core.optim import SGD
from limner.core.pace import Pace
from limner.core.pixels import Image
from limner.data.images import Images
from limner.data.pairs import BATCHES
from limner.models.energy import AutoencoderCritic
from limner.models.history import History
from limner.models.light import LightGenerator
from limner.models.plain import PlainCritic, PlainEncoder, PlainGenerator
from limner.models.residual import ResidualCritic, ResidualGenerator
from limner.models.sparse import SparseEncoder, SparseGenerator
from limner.models.sparsity import TopK
from limner.models.translator import LightTranslator
from limner.objectives.began import BEGAN
from limner.objectives.cyclegan import CycleGAN
from limner.objectives.gan import GAN
from limner.objectives.infogan import InfoGAN
from limner.objectives.penalties import R1, R2, GradientPenalty
from limner.objectives.sparse import SparseAutoencoder
from limner.run import Player, Run
from limner.train import Budget, State, train

IMAGE, CPU = Image(1, 8, 8), torch.device("cpu")


def case(name: str) -> Run:
    """A run by name, with SGD, whose steps are proportional to gradients: nothing hides a wrong scale."""
    plain = {
        "generator": PlainGenerator(IMAGE, Gaussian(8), classes=3, width=16),
        "critic": PlainCritic(IMAGE, classes=3, width=16),
    }
    residual = {
        "generator": ResidualGenerator(IMAGE, Gaussian(8), classes=3, width=4, widest=8),
        "critic": ResidualCritic(IMAGE, classes=3, width=4, widest=8, features=8),
    }
    translators = {f"translator{way}": LightTranslator(IMAGE, width=4, depth=1, blocks=1) for way in ("", "_back")}
    cycle = {f"critic{way}": PlainCritic(IMAGE, width=16) for way in ("", "_back")} | translators
    cycle |= {f"history{way}": History(IMAGE, size=20) for way in ("", "_back")}
    read, atoms = Mixed((Categorical(3, 2.0), Uniform(2))), Sparse(32, 4)
    sorting = plain | {
        "generator": PlainGenerator(IMAGE, Mixed((*read.parts, Gaussian(4))), classes=3, width=16),
        "encoder": PlainEncoder(IMAGE, read, classes=3, width=16),
    }
    sparse = {"encoder": SparseEncoder(IMAGE, atoms, TopK(4)), "generator": SparseGenerator(IMAGE, atoms)}
    player = Player(SGD(0.05), clip_norm=1.0)
    players = {turn: player for turn in ("generator", "critic")}
    more = {
        "plain": {"nets": plain, "objective": GAN(penalties=(R1(0.1), R2(0.1)))},
        "residual": {"nets": residual, "objective": GAN(penalties=(R1(0.1), R2(0.1), GradientPenalty(0.1)))},
        "began": {
            "nets": plain | {"critic": AutoencoderCritic(IMAGE, classes=3, width=4, widest=8, code=8)},
            "objective": BEGAN(speed=0.2),
        },
        "sorted": {"nets": sorting, "objective": InfoGAN(sorting=1.0, even=20.0)},
        "fragments": {"nets": sparse, "objective": SparseAutoencoder(fragments=1.5), "players": {"both": player}},
        "ada": {"nets": plain, "augment": ADA(target=-1.1, speed=200.0)},
        "cycle": {"nets": cycle, "objective": CycleGAN(), "players": {"translator": player, "critic": player}},
        "statistics": {"nets": plain | {"generator": LightGenerator(IMAGE, Gaussian(8), classes=3, width=4, widest=8)}},
    }
    return Run(**({"objective": GAN(), "players": players, "batch": 16, "average": 50.0, "seed": 2} | more[name]))


def pictures() -> Images:
    """Noise with structure; what matters is that each row differs."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (80, 8, 8, 1)).astype(np.uint8)
    return Images(pixels, rng.integers(0, 3, 80).astype(np.int64), ("a", "b", "c"), "noise", "noise")


def work(folder: Path, name: str, die_at: int = -1) -> None:
    """Train for ten steps; rank 0 keeps the state and the losses of each step."""
    run = case(name)
    state, losses = State(run, CPU), []
    batches = BATCHES[run.objective.domains](pictures(), run.batch, run.seed)
    for event in train(state, run, batches, until=Budget(images=160), looks=2):
        if isinstance(event, Progress):
            losses.append(event.losses)
        if isinstance(event, Look) and parallel.rank() == 0:
            store.save_state(folder / name, state.tree() | {"losses": losses})
        if event.nimg == die_at and parallel.rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
    store.write_text(folder / f"{name}.{parallel.rank()}.json", json.dumps(digest_of(state)))


def digest_of(state: State) -> str:
    """Of every weight and running statistic: what must be the same in all processes."""
    return store.digest({**state.nets.state_dict(), **{f"a.{k}": v for k, v in state.averaged.state_dict().items()}})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    # torchrun ends the survivors of a dead peer at once; here they are to find out by themselves
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # when to look must not depend on how busy this machine is
    Pace.took = lambda *_: 0.0  # type: ignore[method-assign]
    parallel.join(CPU)
    try:
        for each in sys.argv[2].split(","):
            work(Path(sys.argv[1]), each, int((sys.argv[3:] or ["-1"])[0]))
    except UserError as error:
        sys.exit(f"limner: {error}")
    finally:
        parallel.leave()
