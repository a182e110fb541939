"""The training loop: a transformers Trainer with our rows, loss, metrics and best-model rule.

Enters: a model, tokenized rows and a `TrainConfig`. Leaves: the Trainer, ready to run. Knows
nothing of where weights come from or what is written at the end.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pangolin_guard.bench.metrics import accuracy, macro_f1, recall_at_fpr
from pangolin_guard.errors import DatasetError
from pangolin_guard.train.batches import Collate, EvalRows, GuardLoss, LengthSampler, TrainRows
from pangolin_guard.train.callbacks import EpochKeeper
from pangolin_guard.train.config import TrainConfig
from pangolin_guard.train.gate import torch, transformers
from pangolin_guard.train.inputs import TokenRows


class GuardTrainer(transformers.Trainer):
    """The Trainer with our loss and our order of rows."""

    def __init__(
        self,
        *,
        loss: GuardLoss,
        sampler: LengthSampler,
        **settings: Any,  # noqa: ANN401 - as the Trainer takes them
    ) -> None:
        """Keep the loss and the sampler beside what the Trainer takes."""
        super().__init__(**settings)
        self._guard_loss = loss
        self._sampler = sampler
        # The loss is a mean per batch: the Trainer divides it by the accumulation steps.
        self.model_accepts_loss_kwargs = False

    def _get_train_sampler(self, *_: object) -> LengthSampler:
        return self._sampler

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor | tuple[torch.Tensor, Any]:
        """Return the weighted loss of one batch, with the model's outputs where asked for."""
        extras = {key: inputs[key] for key in ("labels", "sample_weight", "teacher_p")}
        outputs = model(**{key: value for key, value in inputs.items() if key not in extras})
        loss = self._guard_loss(outputs["logits"], extras)
        return (loss, {"logits": outputs["logits"]}) if return_outputs else loss


def build_trainer(
    model: transformers.PreTrainedModel,
    config: TrainConfig,
    *,
    train: TokenRows,
    validation: TokenRows,
    pad_id: int,
) -> GuardTrainer:
    """Put the training loop together.

    Args:
        model: A two-class classifier.
        config: The settings.
        train: Rows to learn from.
        validation: Rows to choose the best model by.
        pad_id: The token that fills short rows.

    Raises:
        DatasetError: If the best model is to be chosen by a figure that these rows do not have.
    """
    if config.best_metric == "recall_at_1fpr" and len(set(validation.split.labels.tolist())) < 2:
        raise DatasetError(
            "the validation rows all have one label, so they have no recall at 1 % FPR. "
            "Add rows of the other, or choose by --set best_metric=accuracy"
        )
    rows = TrainRows(train, config)
    evaluation = EvalRows(validation, config.eval_form)
    group = config.batch_size * config.gradient_accumulation
    trainer = GuardTrainer(
        model=model,
        args=training_arguments(config, n_rows=len(rows)),
        train_dataset=rows,
        eval_dataset=evaluation,
        data_collator=Collate(pad_id, token_types=takes_types(model.config)),
        compute_metrics=row_metrics(evaluation),
        loss=GuardLoss(config.label_smoothing, config.distill_alpha, config.focal_gamma),
        sampler=LengthSampler(
            rows, batch_size=group, seed=config.seed, group=config.group_by_length
        ),
        callbacks=[EpochKeeper(rows)],
    )
    for callback in (transformers.PrinterCallback, transformers.trainer_callback.ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


def takes_types(config: object) -> bool:
    """Whether a model of this configuration tells segments apart by token types."""
    return getattr(config, "type_vocab_size", 0) > 1


def training_arguments(config: TrainConfig, *, n_rows: int) -> transformers.TrainingArguments:
    """Translate the settings into `transformers.TrainingArguments`."""
    world = max(1, int(os.environ.get("WORLD_SIZE", "1")))
    per_step = config.batch_size * config.gradient_accumulation * world
    total = config.max_steps or math.ceil(n_rows / per_step) * config.epochs
    settings: dict[str, Any] = {
        "output_dir": config.out,
        "num_train_epochs": config.epochs,
        "max_steps": config.max_steps or -1,
        "per_device_train_batch_size": config.batch_size,
        "per_device_eval_batch_size": config.eval_batch_size,
        "gradient_accumulation_steps": config.gradient_accumulation,
        "learning_rate": config.learning_rate,
        "weight_decay": config.weight_decay,
        "warmup_steps": int(total * config.warmup_ratio),
        "lr_scheduler_type": config.schedule,
        "max_grad_norm": config.max_grad_norm,
        "optim": config.optimizer,
        "bf16": precision(config) == "bf16",
        "use_cpu": _device(config) == "cpu",
        "seed": config.seed,
        "eval_strategy": "steps",
        "eval_steps": config.eval_steps,
        "logging_steps": config.logging_steps,
        "save_strategy": "steps",
        "save_steps": config.save_steps,
        "save_total_limit": config.save_total_limit,
        "report_to": [] if config.report_to == "none" else [config.report_to],
        "run_name": config.name or Path(config.out).name,
        "remove_unused_columns": False,
        "label_names": ["labels"],
        "dataloader_num_workers": config.workers,
        "dataloader_pin_memory": _device(config) == "cuda",
        "disable_tqdm": True,
        "ddp_find_unused_parameters": False,
    }
    if config.gradient_checkpointing:
        known = transformers.TrainingArguments.__dataclass_fields__
        new = "activation_checkpointing"  # its name from transformers 5.2x on
        settings[new if new in known else "gradient_checkpointing"] = True
    return transformers.TrainingArguments(**{**settings, **config.trainer})


def _device(config: TrainConfig) -> str:
    if config.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return config.device


def precision(config: TrainConfig) -> str:
    """Return "bf16" where asked for, or where the hardware multiplies it natively; else "fp32"."""
    if config.precision != "auto":
        return config.precision
    if _device(config) == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp32"
    return "bf16" if cpu_has_bf16() else "fp32"


def cpu_has_bf16() -> bool:
    """Whether this CPU has bf16 matrix instructions (AMX or AVX-512 BF16), as Linux tells."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    return "amx_bf16" in flags or "avx512_bf16" in flags


def row_metrics(evaluation: EvalRows) -> Callable[[transformers.EvalPrediction], dict[str, float]]:
    """Return the function that turns window logits into figures per row.

    Rows of one label alone have no recall at a false-positive rate: that figure is left out.
    """
    labels = evaluation.rows.split.labels

    def compute(prediction: transformers.EvalPrediction) -> dict[str, float]:
        logits = np.asarray(prediction.predictions, dtype=np.float64)
        p = 1.0 / (1.0 + np.exp(logits[:, 0] - logits[:, 1]))
        scores = evaluation.row_scores(p)
        figures = _figures(np.concatenate(list(scores.values())), np.tile(labels, len(scores)))
        if len(scores) > 1:
            for form, values in scores.items():
                figures |= {f"{k}_{form}": v for k, v in _figures(values, labels).items()}
        return figures

    return compute


def _figures(p: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    predicted = (p >= 0.5).astype(np.int64)
    figures = {"accuracy": accuracy(predicted, labels), "f1": macro_f1(predicted, labels)}
    if len(set(labels.tolist())) == 2:
        figures["recall_at_1fpr"] = recall_at_fpr(p, labels, 0.01)
    return figures
