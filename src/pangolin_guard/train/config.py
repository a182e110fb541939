"""The settings of a training run: a recipe file or a preset, then overrides, then checks.

Enters: a YAML recipe and `key=value` overrides. Leaves: one frozen `TrainConfig`, which `fit`
saves beside the weights. Knows nothing of torch; reading YAML needs the train or data extra.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, get_type_hints

from pangolin_guard.errors import InputError
from pangolin_guard.extras import require

PRESETS = ("default", "base", "large")

_CHOICES: dict[str, tuple[str, ...]] = {
    "pooling": ("cls", "mean"),
    "schedule": ("linear", "cosine", "constant", "constant_with_warmup"),
    "precision": ("auto", "bf16", "fp32"),
    "device": ("auto", "cpu", "cuda"),
    "report_to": ("none", "wandb", "tensorboard"),
    "best_metric": ("f1", "accuracy", "recall_at_1fpr"),
    "eval_form": ("own", "blind", "both"),
    "attn_implementation": ("auto", "flash_attention_2", "sdpa", "eager"),
}
_UNIT = (
    "checkpoint_dropout",
    "first_window_share",
    "warmup_ratio",
    "label_smoothing",
    "distill_alpha",
    "dropout",
    "attention_dropout",
)
_POSITIVE = (
    "max_tokens",
    "windows_per_row",
    "epochs",
    "batch_size",
    "eval_batch_size",
    "gradient_accumulation",
    "learning_rate",
    "max_steps",
    "max_minutes",
    "eval_rows",
    "eval_steps",
    "logging_steps",
    "save_steps",
    "save_total_limit",
    "threads",
)
# What may differ between a run and its continuation: nothing here changes the weights.
_FREE_TO_CHANGE = frozenset(
    {"out", "data", "device", "threads", "workers", "resume", "report_to", "push_to_hub"}
    | {"logging_steps", "save_steps", "save_total_limit", "eval_batch_size", "keep_checkpoints"}
)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run.

    Sizes count tokens, `max_tokens` the whole model input with its special tokens. Shares and
    dropouts lie in [0, 1]. `None` means "no limit" or "leave it to the model". `trainer` passes
    further fields to `transformers.TrainingArguments` untouched.
    """

    data: str
    out: str
    model: str = "minilm-l6"
    name: str | None = None
    # rows -> inputs
    max_tokens: int = 256
    overlap: int = 64
    windows_per_row: int = 16
    checkpoint_dropout: float = 0.3
    first_window_share: float = 0.7
    group_by_length: bool = True
    class_balance: bool = False
    # model
    pooling: str = "cls"
    dropout: float | None = None
    attention_dropout: float | None = None
    attn_implementation: str = "auto"
    gradient_checkpointing: bool = False
    quantization_aware: bool = False
    # loss
    label_smoothing: float = 0.0
    focal_gamma: float = 0.0
    distill_alpha: float = 0.0
    # optimisation
    epochs: float = 3.0
    max_steps: int | None = None
    max_minutes: float | None = None
    batch_size: int = 64
    eval_batch_size: int = 32
    gradient_accumulation: int = 1
    learning_rate: float = 5e-5
    weight_decay: float = 0.0
    warmup_ratio: float = 0.0
    schedule: str = "linear"
    max_grad_norm: float = 1.0
    optimizer: str = "adamw_torch_fused"
    precision: str = "auto"
    seed: int = 42
    # evaluation, saving, reporting
    eval_steps: int = 100
    eval_rows: int | None = None
    eval_form: str = "both"
    best_metric: str = "f1"
    load_best: bool = True
    logging_steps: int = 100
    save_steps: int = 1500
    save_total_limit: int = 2
    keep_checkpoints: bool = True
    report_to: str = "none"
    push_to_hub: str | None = None
    # the machine
    device: str = "auto"
    threads: int | None = None
    workers: int = 0
    resume: bool = True
    trainer: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse values outside their range, naming the setting and the value."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )
        for name in _UNIT:
            value = getattr(self, name)
            if value is not None and not 0.0 <= value <= 1.0:
                raise InputError(f"{name} must lie in [0, 1], got {value!r}")
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} must be above 0, got {value!r}")
        for name in ("weight_decay", "focal_gamma", "workers", "overlap"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must not be negative, got {getattr(self, name)!r}")
        if not self.overlap < self.max_tokens:
            raise InputError(
                f"overlap must be below max_tokens ({self.max_tokens}), got {self.overlap}"
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, in the order of the fields."""
        return dataclasses.asdict(self)

    def differences(self, saved: Mapping[str, Any]) -> list[str]:
        """Name the settings that would change the weights and are not as in `saved`."""
        default = TrainConfig(data="", out="").as_dict()  # for settings newer than the saved run
        before = {**default, **saved}
        return [
            f"{key}: {before[key]!r} -> {value!r}"
            for key, value in self.as_dict().items()
            if key not in _FREE_TO_CHANGE and before[key] != value
        ]


def recipe_path(name: str) -> Path:
    """Return the file of a preset, from the installed package or from a source checkout.

    Raises:
        InputError: If there is no preset of this name.
    """
    package = Path(str(resources.files("pangolin_guard")))
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        path = folder / f"{name}.yaml"
        if name in PRESETS and path.is_file():
            return path
    raise InputError(f"There is no preset '{name}'. Choose one of: {', '.join(PRESETS)}")


def read_recipe(path: Path | str) -> dict[str, Any]:
    """Read the settings in a YAML recipe; nothing is checked but that it maps names to values.

    Raises:
        InputError: If the file is missing, is no YAML, or is no mapping.
        MissingExtraError: If PyYAML is not installed.
    """
    yaml = require("train", "yaml")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"Recipe not found: {path}. Give --recipe an existing YAML file")
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise InputError(f"{path} is not a YAML file: {exc}") from exc
    if not isinstance(loaded, dict):
        raise InputError(f"{path} must hold 'setting: value' lines, got {type(loaded).__name__}")
    return {str(key): value for key, value in loaded.items()}


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """Turn `key=value` words into settings; `trainer.key=value` reaches TrainingArguments.

    Raises:
        InputError: If a word has no "=".
    """
    yaml = require("train", "yaml")
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key:
            raise InputError(f"--set expects key=value, got {pair!r}")
        value = yaml.safe_load(text)
        if key.startswith("trainer."):
            settings.setdefault("trainer", {})[key.removeprefix("trainer.")] = value
        else:
            settings[key] = value
    return settings


def resolve_config(*layers: Mapping[str, Any]) -> TrainConfig:
    """Merge settings, later layers winning, and check them.

    Args:
        layers: Mappings from setting to value, such as a recipe, then overrides.

    Raises:
        InputError: If a setting is unknown, has the wrong type, or is out of range.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        extra = {**merged.get("trainer", {}), **(layer.get("trainer") or {})}
        merged |= {**layer, "trainer": extra}
    hints = get_type_hints(TrainConfig)
    unknown = sorted(set(merged) - set(hints))
    if unknown:
        raise InputError(
            f"Unknown setting {', '.join(unknown)}. Known settings: {', '.join(sorted(hints))}"
        )
    for key in ("data", "out"):
        if not merged.get(key):
            raise InputError(f"'{key}' is not set: give the folder with --{key}")
    return TrainConfig(**{key: _coerce(key, value, hints[key]) for key, value in merged.items()})


def _coerce(name: str, value: Any, hint: Any) -> Any:  # noqa: ANN401 - values come from YAML
    """Bring a YAML value to the field's type ("5e-5" is a string in YAML)."""
    kinds = getattr(hint, "__args__", (hint,))
    if hint == dict[str, Any]:
        return dict(value)
    if value is None and type(None) in kinds:
        return None
    kind = kinds[0]
    if isinstance(value, bool) or kind is bool:
        if kind is bool and isinstance(value, bool):
            return value
    elif kind is float and isinstance(value, int | float | str):
        try:
            return float(value)
        except ValueError:
            pass
    elif kind is str and isinstance(value, str | Path):
        return str(value)
    elif isinstance(value, kind):
        return value
    raise InputError(f"{name} must be {kind.__name__}, got {json.dumps(value, default=str)}")


def save_recipe(config: TrainConfig, path: Path, *, facts: Mapping[str, Any]) -> None:
    """Write the resolved settings as a recipe that `pangolin train --recipe` reads again.

    Args:
        config: The settings.
        path: The YAML file to write.
        facts: What was found out rather than set (versions, precision); written as comments.
    """
    yaml = require("train", "yaml")
    notes = "".join(f"# {key}: {value}\n" for key, value in facts.items())
    body = yaml.safe_dump(config.as_dict(), sort_keys=False, allow_unicode=True)
    path.write_text(notes + body, encoding="utf-8")
