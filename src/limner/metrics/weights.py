"""Features from a file of weights: which network it is follows from the names and shapes in it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor

from limner.core.errors import Missing, UserError
from limner.core.spec import register
from limner.metrics.base import Extractor, Features, Images
from limner.metrics.inception import Inception
from limner.metrics.inputs import digest_of, three_channels
from limner.metrics.lenet import LeNet5
from limner.metrics.mobilenet import MobileNetV2

Named = dict[str, Tensor]
SMALL = 16
"""Images that a CPU looks at in one go: what is computed of more does not stay in its caches."""
Known = Inception | MobileNetV2 | LeNet5
LAYOUTS: dict[str, Callable[[], Known]] = {
    "FID's Inception v3 (pt_inception-2015-12-05)": Inception,
    "torchvision's MobileNetV2": MobileNetV2,
    "gan-metrics-pytorch's LeNet-5": LeNet5,
}
INCEPTION_FILES = (
    "weights-inception-2015-12-05-6726825d.pth",
    "pt_inception-2015-12-05-6726825d.pth",
)


@register
@dataclass(frozen=True, eq=False)
class WeightsFile(Extractor):
    """Features of a network whose weights are on disk: .safetensors, or .pth read without running code in it.

    path: the file; FID's Inception v3, torchvision's MobileNetV2 or gan-metrics-pytorch's LeNet-5
    """

    path: str

    @property
    def name(self) -> str:  # type: ignore[override]
        """The file's stem."""
        return Path(self.path).stem

    @cached_property
    def digest(self) -> str:  # type: ignore[override]
        """Hash of the weights and of the network that reads them."""
        state = self.network.state_dict()
        return digest_of(f"{type(self.network).__name__}/1", [state[k] for k in sorted(state)])

    @cached_property
    def network(self) -> Known:
        """The network, in evaluation mode. Raises UserError for a file that is damaged or unknown, Missing for none."""
        weights = _read(Path(self.path))
        for make in LAYOUTS.values():
            # made without memory: shapes are compared first, 100 MB are not filled with random numbers
            with torch.device("meta"):
                wanted = {k: v.shape for k, v in make().state_dict().items() if not k.endswith("num_batches_tracked")}
            given = {k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}
            if {k: v.shape for k, v in given.items()} == wanted:
                network = make()
                network.load_state_dict(given, strict=False)
                # channels last: convolutions that see one channel each are several times as fast
                return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        raise UserError(f"{self.path}: weights of no known network; there are {', '.join(LAYOUTS)}")

    @property
    def resize(self) -> str:  # type: ignore[override]
        """The network's own."""
        return self.network.resize

    @property
    def backbone(self) -> str:  # type: ignore[override]
        """The network's name."""
        return self.network.name

    def answers(self, features: Features) -> Float[Tensor, "_ k"]:
        """p(class) of the classes that the weights were trained on."""
        with torch.inference_mode():
            return self.network.to(features.device).read(features).double().softmax(1)

    def __call__(self, x: Images) -> Features:
        """Features of images in [-1, 1] of any size and channels, float32."""
        with torch.inference_mode():
            x = three_channels(x.float()).contiguous(memory_format=torch.channels_last)
            network = self.network.to(x.device)
            return torch.cat([network(part) for part in x.split(SMALL if x.device.type == "cpu" else len(x))])


def inception_file() -> Path:
    """Where torch-fidelity or pytorch-fid keep FID's Inception weights. Raises UserError if they are not there."""
    hub = Path(os.environ.get("TORCH_HOME") or Path.home() / ".cache" / "torch") / "hub" / "checkpoints"
    for name in INCEPTION_FILES:
        if (hub / name).is_file():
            return hub / name
    raise UserError(
        f"--features inception: no {INCEPTION_FILES[0]} in {hub}; put it there or type --features PATH "
        "(torch-fidelity's release v0.2.0 has it), or use --features in-domain"
    )


def _read(path: Path) -> Named:
    if not path.is_file():
        raise Missing(f"{path}: there is no such file of weights; type --features in-domain to need none")
    try:
        raw = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
    except Exception:  # torch.load raises a pickle's errors, zip's and its own on files that are not what they seem
        raise UserError(f"{path}: not a safetensors file nor a plain state dict of tensors; convert it first") from None
    if not (isinstance(raw, dict) and all(isinstance(v, Tensor) for v in raw.values())):
        raise UserError(f"{path}: holds something else than named tensors; save its state_dict() as safetensors")
    return {k: v.float() if v.is_floating_point() else v for k, v in raw.items()}
