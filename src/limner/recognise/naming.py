"""A classifier of a model's features as a file, which names the classes of other pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from limner.core.errors import UserError
from limner.core.store import digest, replacing
from limner.models.base import Critic, Encoder
from limner.recognise.features import features
from limner.recognise.probes import Fitted, Scale

Bytes = UInt8[np.ndarray, "_ h w c"]


@dataclass(frozen=True)
class Naming:
    """Linear logits of scaled features; the largest names the class.

    role: whose features they are, `encoder` or `critic`
    model: digest of the network they were learnt on
    names: of classes, as the columns of `weight`
    weight: (d, classes), of features as the network gives them
    bias: (classes,)
    """

    role: str
    model: str
    names: tuple[str, ...]
    weight: Float[np.ndarray, "d classes"]
    bias: Float[np.ndarray, " classes"]

    @classmethod
    def of(cls, fitted: Fitted, scale: Scale, role: str, net: Encoder | Critic, names: tuple[str, ...]) -> Naming:
        """Of a logistic regression; its scale goes into the weights."""
        regression = fitted.classifier
        weight, bias = regression.coef_.T, regression.intercept_
        if weight.shape[1] == 1:  # of two classes scikit-learn keeps one row
            weight, bias = np.concatenate([-weight, weight], 1) / 2, np.concatenate([-bias, bias]) / 2
        weight = weight.astype(np.float64) / scale.size
        bias = bias - scale.mean.astype(np.float64) @ weight
        chosen = tuple(names[k] for k in regression.classes_)
        return cls(role, digest(net.state_dict()), chosen, weight, np.asarray(bias, np.float64))

    def check(self, net: Encoder | Critic) -> None:
        """Raises UserError when it was learnt on another model's features."""
        if (given := digest(net.state_dict())) != self.model:
            raise UserError(
                f"this probe was made for a model with {self.role} {self.model}, and this one's is {given}; "
                "make one for it: limner recognise MODEL TRAIN --out FOLDER/"
            )

    def __call__(self, net: Encoder | Critic, pixels: Bytes) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Which of `names`, and its probability, for each picture."""
        logits = features(net, pixels).astype(np.float64) @ self.weight + self.bias
        share = np.exp(logits - logits.max(1, keepdims=True))
        share /= share.sum(1, keepdims=True)
        return share.argmax(1), share.max(1)

    def save(self, path: Path) -> Path:
        """One safetensors file, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"role": self.role, "model": self.model, "names": json.dumps(self.names), "probe": "linear"}
        with replacing(path) as temporary:
            temporary.write_bytes(save({"weight": np.ascontiguousarray(self.weight), "bias": self.bias}, about))
        return path

    @classmethod
    def load(cls, path: Path) -> Naming:
        """Read what `save` wrote. Raises UserError when it is something else."""
        try:
            with safe_open(path, "np") as file:
                about = file.metadata() or {}
                if about.get("probe") != "linear":
                    raise UserError(f"{path} is no probe; write one: limner recognise MODEL TRAIN --out FOLDER/")
                weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
        except (OSError, SafetensorError) as error:
            reason = "there is no such file" if isinstance(error, FileNotFoundError) else "it cannot be read"
            raise UserError(f"{path}: {reason}; give the probe.safetensors of limner recognise --out") from None
        return cls(about["role"], about["model"], tuple(json.loads(about["names"])), weight, bias)
