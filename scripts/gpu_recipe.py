"""The GPU recipe in slices: a teacher, its opinions, a student, a student rounded as it will ship.

A machine with a GPU is often lent by the minute and reached by uploads of limited size. So the input
travels in numbered parts of at most 24 MB, `run` does whole stages as long as the slice has time for
them and is called again until it says that it is done, and the result comes back as fp16 parts of at
most 14 MB.

    python scripts/gpu_recipe.py pack TOKENS TEACHER STUDENT PARTS     # here
    python scripts/gpu_recipe.py run PARTS WORK --max-minutes 8        # there; repeat while it exits 3
    python scripts/gpu_recipe.py join WORK/out OUT                     # here: a float32 checkpoint

TOKENS is written by `pangolin data tokenize`, TEACHER by `scripts/make_teacher.py` (or any
checkpoint with the same tokenizer; it travels as int8), STUDENT is a checkpoint or a bundle, such as
`src/pangolin_guard/models/default_v1`. All times are for one H200; `--scale 0.02 --device cpu` tries
the whole chain on a laptop.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

PART_BYTES = 24 * 10**6
SHARD_BYTES = 14 * 10**6
INDEX = "index.json"
STATE = "state.json"
AGAIN = 3
WEIGHTS = "model.safetensors"
_LARGE = 10_000
_START_S = 25.0  # imports, reading the tokens, the last evaluation

COMMON = (
    *("gradient_accumulation=1", "epochs=60", "windows_per_row=3", "attention_dropout=0.0"),
    *("eval_steps=1000000", "save_steps=1000000", "load_best=false", "eval_batch_size=1024"),
    "dropout=0.1",
)


@dataclass(frozen=True)
class Stage:
    """One step of the chain: the words of a `pangolin` command, and seconds on the GPU."""

    name: str
    words: tuple[str, ...]
    seconds: float


def stages(work: Path, args: argparse.Namespace) -> list[Stage]:
    """Return the chain with its times scaled."""
    data, out = work / "in" / "tokens", work / "runs"

    def train(name: str, model: Path, lr: str, seconds: float, *settings: str) -> Stage:
        minutes = seconds * args.scale / 60
        pairs = [*COMMON, f"eval_rows={args.eval_rows}", *settings, *args.settings]
        words = ("train", "--preset", "default", "--data", str(data), "--out", str(out / name))
        words += ("--model", str(model), "--lr", lr, "--max-minutes", f"{minutes:.3f}")
        words += ("--batch-size", str(args.batch_size), "--device", args.device)
        return Stage(
            name,
            (*words, *(word for pair in pairs for word in ("--set", pair))),
            seconds * args.scale + _START_S * min(1.0, 5 * args.scale),
        )

    taught = ("distill_alpha=0.7", "attn_implementation=sdpa")
    teach = ("data", "teach", str(data), "--teacher", str(out / "teacher"))
    return [
        train("teacher", work / "in" / "teacher", "8e-5", 180),
        Stage("teach", (*teach, "--device", args.device), 100 * args.scale),
        train("student", work / "in" / "student", "1.5e-4", 198, *taught),
        train("rounded", out / "student", "5e-5", 30, "quantization_aware=true", *taught),
    ]


def pack(args: argparse.Namespace) -> None:
    """Write everything that the other machine needs as numbered parts."""
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        teacher = Path(scratch) / "teacher"
        shutil.copytree(args.teacher, teacher, ignore=shutil.ignore_patterns("*.safetensors"))
        to_int8(args.teacher / WEIGHTS, teacher / "int8.npz")
        archive = Path(scratch) / "in.tar"
        with tarfile.open(archive, "w") as tar:
            for name, folder in (
                ("tokens", args.tokens),
                ("teacher", teacher),
                ("student", args.student),
            ):
                tar.add(folder, name)
        index = split(archive, args.out, "part", PART_BYTES)
    print(f"{len(index['parts'])} parts, {index['bytes'] / 1e6:.1f} MB: {args.out}")


def run(args: argparse.Namespace) -> int:
    """Do the stages that the slice has time for; 0 when all are done, 3 to be called again."""
    began = time.monotonic()
    work: Path = args.work
    (work / "out").mkdir(parents=True, exist_ok=True)
    unpack(args.parts, work)
    done = read_state(work)
    for stage in stages(work, args):
        if stage.name in done:
            continue
        left = args.max_minutes * 60 - (time.monotonic() - began)
        if stage.seconds > left:
            print(f"{stage.name} takes {stage.seconds:.0f} s, {left:.0f} s are left: call again")
            if not done and left >= 0.95 * args.max_minutes * 60:
                raise SystemExit(f"no slice of {args.max_minutes:g} minutes holds {stage.name}")
            return AGAIN
        print(f"{stage.name} ...", flush=True)
        subprocess.run([sys.executable, "-m", "pangolin_guard", *stage.words], check=True)
        done[stage.name] = round(time.monotonic() - began, 1)
        (work / STATE).write_text(json.dumps(done))
    to_shards(work / "runs" / "rounded", work / "out")
    print(f"done: {work / 'out'}")
    return 0


def join(args: argparse.Namespace) -> None:
    """Put the parts of a result together as a float32 checkpoint."""
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        half = Path(scratch) / WEIGHTS
        glue(args.shards, half)
        state = {name: value.float().contiguous() for name, value in load_file(half).items()}
    save_file(state, args.out / WEIGHTS, metadata={"format": "pt"})
    for path in args.shards.glob("*.json"):
        if path.name != INDEX:
            shutil.copyfile(path, args.out / path.name)
    print(f"{args.out}: next pangolin export {args.out}")


def unpack(parts: Path, work: Path) -> None:
    """Put the input together once, and widen the teacher."""
    if (work / "in" / "teacher" / WEIGHTS).is_file():
        return
    shutil.rmtree(work / "in", ignore_errors=True)
    archive = work / "in.tar"
    glue(parts, archive)
    with tarfile.open(archive) as tar:
        tar.extractall(work / "in", filter="data")
    archive.unlink()
    from_int8(work / "in" / "teacher" / "int8.npz", work / "in" / "teacher" / WEIGHTS)


def read_state(work: Path) -> dict[str, float]:
    """Return the stages that are complete, with the seconds at which each was."""
    path = work / STATE
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def to_int8(source: Path, path: Path) -> None:
    """Store weights with one scale per row: a teacher that is trained further loses nothing by it."""
    arrays: dict[str, np.ndarray] = {}
    for name, tensor in load_file(source).items():
        value = tensor.float().numpy()
        if value.ndim == 2 and value.size > _LARGE:
            scale = np.abs(value).max(axis=1) / 127 + 1e-12
            arrays[name] = np.round(value / scale[:, None]).astype(np.int8)
            arrays[f"{name}|scale"] = scale.astype(np.float32)
        else:
            arrays[name] = value.astype(np.float16)
    np.savez_compressed(path, **arrays)


def from_int8(source: Path, path: Path) -> None:
    """Widen what `to_int8` stored, to half precision."""
    state = {}
    with np.load(source, allow_pickle=False) as arrays:
        for name in arrays.files:
            if name.endswith("|scale"):
                continue
            value = arrays[name].astype(np.float32)
            if f"{name}|scale" in arrays.files:
                value *= arrays[f"{name}|scale"][:, None]
            state[name] = torch.from_numpy(np.ascontiguousarray(value)).half()
    save_file(state, path, metadata={"format": "pt"})


def to_shards(checkpoint: Path, out: Path) -> None:
    """Write a checkpoint's weights in half precision, in parts, with its small files beside them."""
    state = {k: v.half().contiguous() for k, v in load_file(checkpoint / WEIGHTS).items()}
    half = out.parent / "half.safetensors"
    save_file(state, half, metadata={"format": "pt"})
    split(half, out, "weights", SHARD_BYTES)
    half.unlink()
    for path in checkpoint.glob("*.json"):
        shutil.copyfile(path, out / path.name)


def split(source: Path, out: Path, stem: str, most: int) -> dict[str, object]:
    """Cut a file into numbered parts with an index of sizes and hashes."""
    data = source.read_bytes()
    parts = []
    for number, start in enumerate(range(0, len(data), most)):
        piece = data[start : start + most]
        name = f"{stem}.{number:03d}"
        (out / name).write_bytes(piece)
        parts.append({"name": name, "sha256": hashlib.sha256(piece).hexdigest()})
    index: dict[str, object] = {"bytes": len(data), "parts": parts}
    (out / INDEX).write_text(json.dumps(index, indent=1))
    return index


def glue(folder: Path, path: Path) -> None:
    """Put the parts of an index together; a missing or damaged one is named."""
    index = json.loads((folder / INDEX).read_text())
    with path.open("wb") as file:
        for part in index["parts"]:
            piece = folder / part["name"]
            if not piece.is_file():
                raise SystemExit(f"{piece} is missing: bring it and call again")
            data = piece.read_bytes()
            if hashlib.sha256(data).hexdigest() != part["sha256"]:
                raise SystemExit(f"{piece} is damaged: bring it again")
            file.write(data)


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("pack")
    for name in ("tokens", "teacher", "student", "out"):
        one.add_argument(name, type=Path)
    two = commands.add_parser("run")
    two.add_argument("parts", type=Path)
    two.add_argument("work", type=Path)
    two.add_argument("--max-minutes", type=float, default=8.0)
    two.add_argument("--scale", type=float, default=1.0, help="Times all stages by this.")
    two.add_argument("--batch-size", type=int, default=256)
    two.add_argument("--eval-rows", type=int, default=8000)
    two.add_argument("--device", default="cuda")
    two.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    three = commands.add_parser("join")
    three.add_argument("shards", type=Path)
    three.add_argument("out", type=Path)
    return parser.parse_args(words)


def main() -> None:
    """Run one of the three commands."""
    args = parse()
    sys.exit({"pack": pack, "run": run, "join": join}[args.command](args) or 0)


if __name__ == "__main__":
    main()
