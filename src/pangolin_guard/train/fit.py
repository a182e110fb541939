"""Fine-tuning: a dataset folder and a `TrainConfig` in, a checkpoint folder out.

The folder is a plain transformers checkpoint (config.json, model.safetensors, tokenizer.json)
with `pangolin.json` (what serving needs), `recipe.yaml` (the resolved settings) and
`metrics.jsonl` beside it. A run that was killed continues from its last save.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pangolin_guard.extras import require
from pangolin_guard.runtime.bundle import write_json
from pangolin_guard.runtime.config import BundleConfig
from pangolin_guard.runtime.tokenize import TOKENIZE_VERSION, TextTokenizer
from pangolin_guard.train.callbacks import BEST_FOLDER, BestKeeper, LogKeeper, TimeKeeper
from pangolin_guard.train.config import TrainConfig, save_recipe
from pangolin_guard.train.fake_quant import quantization_aware
from pangolin_guard.train.gate import quiet_libraries, torch, transformers
from pangolin_guard.train.inputs import IntArray, Split, TokenRows, read_split, tokenize_split
from pangolin_guard.train.loop import GuardTrainer, build_trainer, precision, takes_types
from pangolin_guard.train.run_folder import (
    METRICS_FILE,
    RECIPE_FILE,
    RUN_FILE,
    START_FOLDER,
    clear_saves,
    last_checkpoint,
    open_run,
    processes,
    read_run,
)
from pangolin_guard.train.run_progress import RunProgress
from pangolin_guard.train.shards import load_tokens, save_tokens, tokens_path
from pangolin_guard.train.weights import (
    attention,
    load_classifier,
    prepare_tokenizer,
    resolve_weights,
)


@dataclass(frozen=True)
class FitResult:
    """Where the checkpoint lies and how it did on the validation split.

    `metrics` are those of the kept weights, measured at `step` of `steps`.
    """

    path: Path
    metrics: dict[str, float]
    step: int
    steps: int


def fit(config: TrainConfig, *, progress: RunProgress | None = None) -> FitResult:
    """Fine-tune a classifier.

    A row longer than `max_tokens` is trained on one of its windows per visit. A run that is
    already complete returns its stored result.

    Args:
        config: The settings; see `TrainConfig`.
        progress: Where to report; None prints to stderr.

    Returns:
        The folder and the figures of the weights in it.

    Raises:
        DatasetError: If the dataset folder cannot be used.
        ModelFilesError: If the starting weights are not to be had.
        InputError: If the output folder holds another run.
    """
    state = processes(config)
    progress = progress or RunProgress(quiet=not state.is_main_process)
    out = Path(config.out)
    run = open_run(config, state)
    if run.get("finished"):
        progress.say(f"{out} is complete already; nothing to do")
        return FitResult(out, run["metrics"], run["step"], run["steps"])
    if config.threads:
        torch.set_num_threads(config.threads)
    transformers.set_seed(config.seed)
    quiet_libraries()
    with state.main_process_first():
        weights = resolve_weights(config.model, restored=out / START_FOLDER)
    model = load_classifier(weights, config)
    if config.quantization_aware:
        quantization_aware(model)
    with state.main_process_first():
        tokenizer = _tokenizer(config, weights, write=state.is_main_process)
    train, validation = (
        _rows(config, name, tokenizer, progress) for name in ("train", "validation")
    )
    trainer = build_trainer(
        model, config, train=train, validation=validation, pad_id=tokenizer.pad_id
    )
    best = BestKeeper(out, config.best_metric)
    trainer.add_callback(best)
    if config.max_minutes:
        trainer.add_callback(TimeKeeper(config.max_minutes, config.warmup_ratio))
    trainer.add_callback(LogKeeper(out / METRICS_FILE, progress))
    if state.is_main_process:
        save_recipe(config, out / RECIPE_FILE, facts=_facts(config))
    resume = last_checkpoint(out) if config.resume else None
    progress.say(_headline(config, train, resume))
    try:
        trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    finally:
        progress.stop()
    return _finish(trainer, config, tokenizer, best)


def _tokenizer(config: TrainConfig, weights: Path, *, write: bool) -> TextTokenizer:
    out = Path(config.out)
    if write:
        prepare_tokenizer(weights, out, max_tokens=config.max_tokens)
    return TextTokenizer.from_file(
        out / "tokenizer.json", max_tokens=config.max_tokens, overlap=config.overlap
    )


def _rows(
    config: TrainConfig, name: str, tokenizer: TextTokenizer, progress: RunProgress
) -> TokenRows:
    packed = tokens_path(config.data, name)
    if packed.is_file():
        rows = load_tokens(packed, key=tokens_key(config, tokenizer))
        return rows.take(_drawn(config, len(rows.split))) if name == "validation" else rows
    split = read_split(Path(config.data), name)
    if name == "validation":
        split = split.take(_drawn(config, len(split)))
    return tokenized(config, name, split, tokenizer, progress)


def _drawn(config: TrainConfig, n: int) -> IntArray:
    """Choose the validation rows that are looked at during the run."""
    if not config.eval_rows or config.eval_rows >= n:
        return np.arange(n)
    rng = np.random.default_rng(config.seed)
    return np.sort(rng.choice(n, config.eval_rows, replace=False))


def tokenized(
    config: TrainConfig, name: str, split: Split, tokenizer: TextTokenizer, progress: RunProgress
) -> TokenRows:
    """Cut the rows of a split into windows, and say what was cut or left out."""
    track = partial(progress.track, what=f"tokenize {name}", total=len(split))
    rows = tokenize_split(split, tokenizer, windows_per_row=config.windows_per_row, track=track)
    if rows.cut or rows.empty:
        progress.say(
            f"{name}: {rows.cut} rows have more than {config.windows_per_row} windows, of which "
            f"that many are used, evenly spread; {rows.empty} rows without a token are left out"
        )
    return rows


def tokens_key(config: TrainConfig, tokenizer: TextTokenizer) -> dict[str, str | int]:
    """Return what packed tokens depend on."""
    return {
        "vocabulary": tokenizer.vocabulary_sha256(),
        "version": TOKENIZE_VERSION,
        **{n: getattr(config, n) for n in ("max_tokens", "overlap", "windows_per_row")},
    }


def pack(config: TrainConfig, *, progress: RunProgress | None = None) -> dict[str, int]:
    """Tokenize the training and validation splits of `config.data` into packed files.

    Args:
        config: The settings of the runs to come; `out` is the folder to write.
        progress: Where to report; None prints to stderr.

    Returns:
        Windows written, by split.

    Raises:
        DatasetError: If the dataset folder cannot be used.
        ModelFilesError: If the starting weights, and so their tokenizer, are not to be had.
    """
    progress = progress or RunProgress()
    out = Path(config.out)
    weights = resolve_weights(config.model, restored=out / START_FOLDER)
    tokenizer = _tokenizer(config, weights, write=True)
    written = {}
    for name in ("train", "validation"):
        rows = tokenized(config, name, read_split(Path(config.data), name), tokenizer, progress)
        save_tokens(rows, tokens_path(out, name), key=tokens_key(config, tokenizer))
        written[name] = len(rows.store)
    return written


def _facts(config: TrainConfig) -> dict[str, str]:
    return {
        "precision used": precision(config),
        "attention used": attention(config),
        **{f"{name} version": version(name) for name in ("torch", "transformers")},
    }


def _headline(config: TrainConfig, train: TokenRows, resume: Path | None) -> str:
    where = "from the start" if resume is None else f"continued from {resume.name}"
    return (
        f"train {config.model}: {len(train.split)} rows, {precision(config)}, "
        f"{attention(config)}, {where}"
    )


def _finish(
    trainer: GuardTrainer, config: TrainConfig, tokenizer: TextTokenizer, best: BestKeeper
) -> FitResult:
    """Write the checkpoint of the best (or last) weights and say how they do."""
    out = Path(config.out)
    steps = trainer.state.global_step
    step = best.best["step"] if config.load_best and best.best else steps
    metrics = {
        key.removeprefix("eval_"): value
        for entry in trainer.state.log_history
        if entry["step"] == step
        for key, value in entry.items()
        if key.startswith("eval_")
    }
    result = FitResult(out, metrics, step, steps)
    if trainer.is_world_process_zero():
        _write(trainer, config, tokenizer, best)
        done = {"finished": True, "metrics": metrics, "step": step, "steps": steps}
        write_json(out / RUN_FILE, {**read_run(out), **done})
        if not config.keep_checkpoints:
            clear_saves(out)
        if config.push_to_hub:
            _push(out, config.push_to_hub)
    processes(config).wait_for_everyone()
    return result


def _write(
    trainer: GuardTrainer, config: TrainConfig, tokenizer: TextTokenizer, best: BestKeeper
) -> None:
    out = Path(config.out)
    if config.load_best and best.best:
        for name in ("config.json", "model.safetensors"):
            shutil.copyfile(out / BEST_FOLDER / name, out / name)
    else:
        trainer.accelerator.unwrap_model(trainer.model).save_pretrained(out)
    types = takes_types(getattr(trainer.model, "config", None))
    serving = serving_config(config, tokenizer, token_types=types)
    write_json(out / "pangolin.json", serving.to_dict())


def serving_config(
    config: TrainConfig, tokenizer: TextTokenizer, *, token_types: bool
) -> BundleConfig:
    """Return what serving must know of a checkpoint, before calibration (no thresholds)."""
    names = ("input_ids", "attention_mask") + (("token_type_ids",) if token_types else ())
    return BundleConfig(
        name=config.name or Path(config.out).name,
        tokenizer_sha256=tokenizer.sha256,
        max_tokens=config.max_tokens,
        overlap=config.overlap,
        input_names=names,
    )


def _push(out: Path, repository: str) -> None:
    hub = require("train", "huggingface_hub")
    api = hub.HfApi()
    api.create_repo(repository, private=True, exist_ok=True)
    api.upload_folder(
        repo_id=repository,
        folder_path=str(out),
        ignore_patterns=["checkpoint-*/*", f"{BEST_FOLDER}/*", f"{START_FOLDER}/*", RUN_FILE],
        commit_message="Upload fine-tuned guard",
    )
