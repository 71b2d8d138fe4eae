"""hf:owner/name: a data set of the Hugging Face Hub, downloaded as parquet files into the Hub's own cache.

Data sets that are not stored as parquet are taken from the copy that the Hub converts (`refs/convert/parquet`).
A folder follows the name where a data set has several configurations: `hf:owner/name/config`.
"""

from __future__ import annotations

from pathlib import Path

from limner.core.errors import UserError
from limner.data.items import is_split

PREFIX = "hf:"
CONVERTED = "refs/convert/parquet"


def fetch(source: str) -> Path:
    """The local folder of the data set's parquet files.

    Raises UserError when there is no such data set, a configuration must be chosen, or the Hub is out of reach.
    """
    owner, name, config = (*source.removeprefix(PREFIX).strip("/").split("/", 2), "", "")[:3]
    if not (owner and name):
        raise UserError(f"{source}: write it as hf:owner/name, for example hf:ylecun/mnist")
    try:
        return _fetch(source, f"{owner}/{name}", config)
    except ImportError:
        raise UserError(f"{source}: the Hub needs an extra; type pip install 'limner[hub]'") from None
    except OSError as error:  # every error of huggingface_hub's requests is one
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{source}: cannot be had from the Hub ({reason}); check the name and the network") from None


def list_files(repo: str, revision: str | None) -> list[str]:
    """Paths in a data set's repository; none when it has no such revision."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        return HfApi().list_repo_files(repo, repo_type="dataset", revision=revision)
    except RevisionNotFoundError:
        return []


def download(repo: str, revision: str | None, files: list[str]) -> Path:
    """Fetch the files that the Hub's cache does not hold; the folder they lie in."""
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=files))


def _fetch(source: str, repo: str, config: str) -> Path:
    for revision in (None, CONVERTED):
        files = [file for file in list_files(repo, revision) if file.endswith(".parquet")]
        if files:
            chosen = _one_configuration(source, files, config)
            return download(repo, revision, chosen) / config
    raise UserError(f"{source}: the Hub has no parquet files of it; download it and give the folder")


def _one_configuration(source: str, files: list[str], config: str) -> list[str]:
    chosen = [file for file in files if file.startswith(f"{config}/")] if config else files
    folders = sorted({file.split("/")[0] for file in files if "/" in file})
    configurations = [folder for folder in folders if folder != "data" and not is_split(folder)]
    if not chosen or (not config and len(configurations) > 1):
        known = ", ".join(f"{source.removesuffix('/' + config)}/{name}" for name in configurations) or "none"
        raise UserError(f"{source}: choose one of its configurations: {known}")
    return chosen
