"""The sources file: which rows a data set is made of, written in YAML or TOML.

A file enters, a checked `Recipe` leaves. Knows nothing of rows; it says where they are, what
their columns mean, which are left out and how many are taken.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pangolin_guard.errors import DatasetError, MissingExtraError
from pangolin_guard.train.labels import parse_label
from pangolin_guard.types import Checkpoint

try:
    import yaml
    from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
    from pydantic import model_validator as _model_validator
except ModuleNotFoundError as exc:
    raise MissingExtraError("data", str(exc.name)) from exc

Scalar = str | int | float | bool | None
FIELDS = ("text", "label", "checkpoint", "kind", "lang", "medium", "payload")


class _Strict(BaseModel):
    """Refuses names that it does not know, so that a misspelled option is never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Exclusion(_Strict):
    """The values that a field must not have: `{not: spam}` or `{not: [spam, ham]}`."""

    excluded: Scalar | list[Scalar] = Field(alias="not")


Condition = dict[str, Scalar | list[Scalar] | Exclusion]


class Drop(_Strict):
    """Rows for which every condition holds are left out, under a reason of your own."""

    when: Condition = Field(min_length=1)
    reason: str = Field(pattern=r"^[a-z0-9_]+$")


class CheckpointRule(_Strict):
    """Which checkpoint a row belongs to, where the source has none or other words for it."""

    default: Checkpoint | None = None
    map: dict[str, Checkpoint | None] = {}


class Thresholds(_Strict):
    """Estimated Jaccard similarities from which two texts count as the same thing.

    `duplicate`: the later one is dropped. `contaminated`: a row this close to a benchmark or
    gallery row is dropped. `group`: never on two sides of a split; where one of the two is held
    out, the other is dropped.
    """

    duplicate: float = Field(default=0.8, gt=0.0, le=1.0)
    contaminated: float = Field(default=0.7, gt=0.0, le=1.0)
    group: float = Field(default=0.6, gt=0.0, le=1.0)

    @_model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.group > self.duplicate:
            raise ValueError("group must not be above duplicate")
        return self


class Source(_Strict):
    """One source: a local file, an address, or a data set of the Hugging Face Hub.

    `split: holdout` keeps the whole source out of training, validation and calibration.
    `use: false` names a source without reading it; `why` then says the reason.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    license: str = Field(min_length=1)
    origin: str | None = None
    path: str | None = None
    url: str | None = None
    hub: str | None = None
    files: list[str] = []
    revision: str | None = None
    format: Literal["auto", "json", "jsonl", "csv", "parquet"] = "auto"
    use: bool = True
    why: str | None = None
    split: Literal["train", "holdout"] = "train"
    columns: dict[str, str] = {}
    label: int | None = None
    label_words: dict[str, int] = {}
    checkpoint: CheckpointRule = CheckpointRule()
    fill: dict[Literal["kind", "lang", "medium"], str] = {}
    keep: Condition = {}
    drop: list[Drop] = []
    min_chars: int = Field(default=1, ge=1)
    max_chars: int | None = Field(default=None, ge=1)
    cap: int | None = Field(default=None, ge=1)
    weight: float = Field(default=1.0, gt=0.0)
    group_by: str | None = None

    @field_validator("label", mode="before")
    @classmethod
    def _label(cls, value: object) -> int | None:
        return None if value is None else parse_label(value)

    @field_validator("label_words", mode="before")
    @classmethod
    def _label_words(cls, value: object) -> dict[str, int]:
        if not isinstance(value, dict):
            raise ValueError("must be a mapping of the source's words to 0 or 1")
        return {str(word).strip().lower(): parse_label(label) for word, label in value.items()}

    @field_validator("checkpoint", mode="before")
    @classmethod
    def _checkpoint(cls, value: object) -> object:
        return {"default": value} if value is None or isinstance(value, str) else value

    @field_validator("columns")
    @classmethod
    def _columns(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(value) - set(FIELDS))
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r}; the fields are {', '.join(FIELDS)}")
        return value

    @_model_validator(mode="after")
    def _one_place(self) -> Self:
        if sum(place is not None for place in (self.path, self.url, self.hub)) != 1:
            raise ValueError("give exactly one of path, url and hub")
        if not self.use and not self.why:
            raise ValueError("a source with use: false needs why")
        return self


class Recipe(_Strict):
    """A whole sources file. `seed` decides which rows a cap takes and how rows are split."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    description: str = ""
    seed: int = 42
    thresholds: Thresholds = Thresholds()
    sources: list[Source] = Field(min_length=1)

    @_model_validator(mode="after")
    def _unique(self) -> Self:
        names = [source.name for source in self.sources]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"source named twice: {twice[0]}")
        return self


def load_recipe(path: Path | str) -> Recipe:
    """Read and check a sources file.

    A top-level `defaults` mapping is given to every source that does not say otherwise.

    Args:
        path: A .yaml, .yml or .toml file.

    Returns:
        The checked recipe.

    Raises:
        DatasetError: If the file is missing, is no YAML or TOML, or says something unknown.
    """
    path = Path(path)
    raw = _parse(path)
    defaults = raw.pop("defaults", None) or {}
    sources = raw.get("sources")
    if not isinstance(defaults, Mapping) or not isinstance(sources, list):
        raise DatasetError(f"{path}: needs a list 'sources' (and 'defaults', if any, as a mapping)")
    raw["sources"] = [
        {**defaults, **item} if isinstance(item, Mapping) else item for item in sources
    ]
    try:
        return Recipe.model_validate(raw)
    except ValidationError as exc:
        raise DatasetError(_explain(path, exc, raw["sources"])) from exc


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise DatasetError(f"cannot read the recipe {path}: {exc.strerror}") from exc
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text)
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, tomllib.TOMLDecodeError) as exc:
        raise DatasetError(f"{path} is not valid YAML or TOML: {exc}") from exc
    if not isinstance(raw, dict):
        raise DatasetError(f"{path}: a recipe is a mapping with a list 'sources'")
    return raw


def _explain(path: Path, error: ValidationError, sources: list[Any]) -> str:
    """All mistakes, with the name of its source instead of its number."""
    lines = []
    for item in error.errors():
        where = [str(part) for part in item["loc"]]
        if len(where) > 1 and where[0] == "sources":
            at = int(where[1])
            entry = sources[at] if isinstance(sources[at], Mapping) else {}
            where = [f"source '{entry.get('name', f'number {at + 1}')}'", *where[2:]]
        message = item["msg"].removeprefix("Value error, ")
        lines.append(f"{' > '.join(where) or 'recipe'}: {message}")
    return f"{path} cannot be used: " + "; ".join(lines)
