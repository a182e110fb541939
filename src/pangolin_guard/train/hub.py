"""Data sets of the Hugging Face Hub, as plain data files; no code of theirs is run.

A data set's id enters, local paths of its files leave. The lock holds the commit, so that a
later build reads the same files.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from pangolin_guard.errors import DatasetError, DownloadError
from pangolin_guard.extras import require
from pangolin_guard.train.lock import Lock
from pangolin_guard.train.readers import COMPRESSED, FORMATS
from pangolin_guard.train.recipe import Source


def hub_files(source: Source, lock: Lock, *, offline: bool) -> tuple[Path, ...]:
    """Return the local paths of a Hub data set's files, fetching those that are missing.

    Without `files` in the recipe these are the data files with "train" in their path, or all
    data files where none has it.

    Raises:
        DatasetError: If the data set has no fitting file.
        DownloadError: If the Hub cannot be reached or a file differs from the lock.
    """
    hub = require("data", "huggingface_hub", "huggingface_hub.errors")
    name = str(source.hub)
    prefix = f"hub:{name}@{source.revision or 'main'}/"
    known = {
        address.removeprefix(prefix): entry
        for address, entry in lock.entries().items()
        if address.startswith(prefix)
    }
    commit = next((entry["commit"] for entry in known.values()), None)
    paths = []
    try:
        if commit is None:
            if offline:
                raise DownloadError(_by_hand(source, "nothing is fetched offline"), name)
            info = hub.HfApi().dataset_info(name, revision=source.revision)
            commit = str(info.sha)
            every = [item.rfilename for item in info.siblings or []]
            wanted = _choose(every, source)
        else:
            wanted = sorted(known)
        for file in wanted:
            path = hub.hf_hub_download(
                name, file, repo_type="dataset", revision=commit, local_files_only=offline
            )
            lock.check(prefix + file, Path(path), commit=commit)
            paths.append(Path(path))
    except _network_errors(hub) as exc:
        raise DownloadError(_by_hand(source, type(exc).__name__), name) from exc
    return tuple(paths)


def _network_errors(hub: Any) -> tuple[type[BaseException], ...]:  # noqa: ANN401
    """What the Hub's library raises when a file cannot be had; it differs by its version."""
    errors = hub.errors
    return (OSError, ValueError, errors.EntryNotFoundError, *errors.HfHubHTTPError.__bases__)


def _choose(files: Sequence[str], source: Source) -> list[str]:
    if source.files:
        chosen = [file for file in files if any(fnmatch(file, glob) for glob in source.files)]
    else:
        data = [file for file in files if _is_data(file)]
        chosen = [file for file in data if "train" in file.lower()] or data
    if not chosen:
        raise DatasetError(
            f"no fitting data file in {source.hub}; name them with 'files', or take the Hub's own "
            "conversion with 'revision: refs/convert/parquet'",
            source=source.name,
        )
    return sorted(chosen)


def _is_data(file: str) -> bool:
    for ending in COMPRESSED:
        file = file.removesuffix(ending)
    return Path(file).suffix.lower() in FORMATS and Path(file).name != "dataset_infos.json"


def _by_hand(source: Source, problem: str) -> str:
    return (
        f"cannot fetch the data set {source.hub} from the Hub ({problem}). Without network, fetch "
        f"it elsewhere (hf download --repo-type dataset {source.hub}) and name its files with "
        "'path' in place of 'hub'"
    )
