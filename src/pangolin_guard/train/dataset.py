"""The data step: a recipe becomes a folder of Parquet files, a manifest and a data card.

Sources → rows → sketches → conflicts, duplicates, contamination out → caps → groups → splits →
files. The same recipe over the same files gives the same Parquet bytes. `manifest.json` is
written last: where it stands, the folder is whole.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pangolin_guard.errors import DatasetError
from pangolin_guard.extras import require
from pangolin_guard.train import dedupe
from pangolin_guard.train.collect import Collected, Task, collect, take
from pangolin_guard.train.datacard import Summary, write_folder
from pangolin_guard.train.decontaminate import (
    PACKAGED,
    Signatures,
    gallery_signatures,
    load_signatures,
    merge,
)
from pangolin_guard.train.fetch import Fetcher
from pangolin_guard.train.neighbors import IntArray
from pangolin_guard.train.recipe import Recipe, load_recipe
from pangolin_guard.train.split import assign_splits

Progress = Callable[[str, int, int], None]
PARALLEL_FROM_BYTES = 4_000_000


@dataclass(frozen=True)
class BuildOptions:
    """How to build, where the defaults do not fit.

    `root`: folder that the recipe's relative paths start from, by default the recipe's own.
    `on_bad_row`: "fail" stops at the first bad row, "skip" reports it and goes on.
    `workers`: processes, by default one for each core but at most four.
    `signatures`: the benchmark signatures, by default the packaged ones.
    `cache`, `lock`: where downloads are kept, and the hashes that they had the first time.
    `offline`: never touch the network. `progress`: called with stage, done, total.
    """

    root: Path | None = None
    on_bad_row: str = "fail"
    workers: int | None = None
    signatures: Path = PACKAGED
    cache: Path | None = None
    lock: Path | None = None
    offline: bool = False
    progress: Progress | None = None

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        if self.on_bad_row not in ("fail", "skip"):
            raise ValueError(f"on_bad_row must be 'fail' or 'skip', got {self.on_bad_row!r}")
        if self.workers is not None and self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")

    def tell(self, stage: str, done: int, total: int) -> None:
        """Report progress, if anyone listens."""
        if self.progress is not None:
            self.progress(stage, done, total)


def build_dataset(
    recipe: Path | str, out: Path | str, *, options: BuildOptions | None = None
) -> Summary:
    """Build a data set folder from a recipe.

    Args:
        recipe: A sources file (see `load_recipe`).
        out: The folder to write: train, validation, calibration and, if the recipe has held-out
            sources, holdout as Parquet; manifest.json, README.md, histograms.png and
            dropped.jsonl. Files of an earlier build are replaced.
        options: See `BuildOptions`.

    Returns:
        What was read, kept and dropped, as in manifest.json.

    Raises:
        DatasetError: If the recipe, a source or a row cannot be used, the signatures are
            missing, or nothing is left.
        DownloadError: If a source cannot be fetched or its hash changed.
        MissingExtraError: If the extra `data` is not installed.
    """
    options = options or BuildOptions()
    require("data", "pyarrow", "datasketch", "matplotlib")
    path, out = Path(recipe), Path(out)
    plan = load_recipe(path)
    signatures = _references(options.signatures)
    tasks = list(_tasks(plan, path, options))
    collected = _collect_all(tasks, signatures, options)
    options.tell("compare", 0, 5)
    pool = _pool(plan, collected)
    conflicts = _clean(pool, plan, signatures, options)
    groups = dedupe.group_numbers(pool, plan.thresholds)
    options.tell("compare", 5, 5)
    splits = _split(pool, groups, plan.seed)
    if "train" not in splits:
        raise DatasetError(f"{path}: no row is left to train on")
    summary = Summary(plan, collected, pool, groups, splits, signatures, conflicts)
    options.tell("write", 0, 1)
    write_folder(summary, out)
    options.tell("write", 1, 1)
    return summary


def _references(path: Path) -> Signatures:
    gallery = gallery_signatures()
    parts = [load_signatures(path)]
    return merge([*parts, gallery] if gallery is not None else parts)


def _tasks(plan: Recipe, path: Path, options: BuildOptions) -> Iterator[Task]:
    fetcher = Fetcher(
        root=options.root or path.parent,
        lock=options.lock or path.parent / "sources.lock",
        cache=options.cache,
        offline=options.offline,
        progress=options.progress,
    )
    for source in plan.sources:
        if source.use:
            yield Task(source, fetcher.files(source), plan.seed, options.on_bad_row == "skip")


def _collect_all(
    tasks: list[Task], signatures: Signatures, options: BuildOptions
) -> list[Collected]:
    """Work on all sources; the results stand in the recipe's order."""
    sizes = [sum(path.stat().st_size for path in task.files) for task in tasks]
    workers = options.workers or min(4, os.cpu_count() or 1)
    total = len(tasks)
    options.tell("read", 0, total)
    if workers == 1 or len(tasks) == 1 or sum(sizes) < PARALLEL_FROM_BYTES:
        results = []
        for done, task in enumerate(tasks, 1):
            results.append(collect(task, signatures))
            options.tell("read", done, total)
        return results
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as executor:
        largest_first = sorted(range(total), key=lambda at: -sizes[at])
        futures = {executor.submit(collect, tasks[at], signatures): at for at in largest_first}
        found: dict[int, Collected] = {}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                found[futures[future]] = future.result()
                options.tell("read", done, total)
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise
    return [found[at] for at in range(total)]


def _pool(plan: Recipe, collected: list[Collected]) -> dedupe.Pool:
    held = {source.name for source in plan.sources if source.split == "holdout"}
    ordered = sorted(collected, key=lambda one: one.source not in held)
    examples = [example for one in ordered for example in one.examples]
    if not examples:
        raise DatasetError(f"recipe {plan.name}: no row passed the filters")
    return dedupe.Pool(
        examples=examples,
        keys=np.concatenate([one.keys for one in ordered]),
        minhashes=np.concatenate([one.minhashes for one in ordered]),
        holdout=np.array([example.source in held for example in examples]),
    )


def _clean(pool: dedupe.Pool, plan: Recipe, signatures: Signatures, options: BuildOptions) -> int:
    """Drop what must not stay, then what is beyond the caps; return the number of conflicts."""
    rows, references = signatures.find_near(pool.minhashes, plan.thresholds.contaminated)
    for at, reference in zip(rows.tolist(), references.tolist(), strict=True):
        pool.drop(at, f"contaminated:{signatures.suite_of(reference)}")
    options.tell("compare", 1, 5)
    conflicts = dedupe.drop_conflicts(pool)
    options.tell("compare", 2, 5)
    dedupe.drop_duplicates(pool, plan.thresholds.duplicate)
    options.tell("compare", 3, 5)
    dedupe.drop_near_holdout(pool, plan.thresholds.group)
    _cap(pool, plan)
    options.tell("compare", 4, 5)
    return conflicts


def _cap(pool: dedupe.Pool, plan: Recipe) -> None:
    rows: dict[str, list[int]] = {}
    for at in pool.alive.tolist():
        rows.setdefault(pool.examples[at].source, []).append(at)
    for source in plan.sources:
        mine = rows.get(source.name, [])
        if source.cap is not None and len(mine) > source.cap:
            chosen = take([pool.examples[at] for at in mine], source.cap, plan.seed)
            for place, at in enumerate(mine):
                if place not in chosen:
                    pool.drop(at, "cap")


def _split(pool: dedupe.Pool, groups: IntArray, seed: int) -> list[str]:
    """Return a split name for each living example."""
    alive = pool.alive
    held = pool.holdout[alive]
    result = np.full(len(alive), "holdout", dtype="<U11")
    inside = np.flatnonzero(~held)
    examples = [pool.examples[at] for at in alive[inside].tolist()]
    result[inside] = assign_splits(
        [f"{one.label}|{one.checkpoint}|{one.source}" for one in examples],
        groups[inside].tolist(),
        [one.id for one in examples],
        seed=seed,
    )
    return [str(name) for name in result]
