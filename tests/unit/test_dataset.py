"""The whole data step, from a recipe to a folder."""

from __future__ import annotations

import hashlib
import json
from collections import Counter

import pytest

from builds import read_dropped, read_split, sentences, write_recipe, write_rows
from local_server import FileServer
from pangolin_guard.errors import DatasetError, DownloadError
from pangolin_guard.gallery import load_gallery
from pangolin_guard.train.dataset import BuildOptions, build_dataset
from pangolin_guard.train.decontaminate import make_signatures, save_signatures

SPLITS = ("train", "validation", "calibration")
COLUMNS = ["text", "label", "checkpoint", "kind", "source", "lang", "medium", "payload"]
COLUMNS += ["group", "weight", "id"]


def rows(count, seed=0, **fields):
    return [{"label": 0, **fields, "text": text} for text in sentences(count, seed)]


@pytest.fixture(autouse=True)
def quick_plot(monkeypatch):
    """A placeholder in place of the picture, which test_plot looks at."""
    monkeypatch.setattr(
        "pangolin_guard.train.datacard.draw_histograms",
        lambda rows, path: path.write_bytes(b"\x89PNG"),
    )


@pytest.fixture
def sources(tmp_path):
    """Two labeled sources and one that is held out."""
    write_rows(tmp_path / "notes.jsonl", rows(200, 1, checkpoint="document", lang="en"))
    write_rows(tmp_path / "tricks.jsonl", rows(100, 2, label=1))
    write_rows(tmp_path / "mails.jsonl", rows(30, 3))
    return tmp_path


PLAN = (
    {"name": "notes", "weight": 0.5, "fill": {"kind": "note"}},
    {"name": "tricks", "checkpoint": "user_input", "cap": 50},
    {"name": "mails", "split": "holdout"},
    {"name": "letters", "use": False, "why": "private"},
)


def build(folder, *plan, out="out", options=None, **settings):
    recipe = write_recipe(folder, *plan, **settings)
    return build_dataset(recipe, folder / out, options=options)


def everything(out, splits=SPLITS):
    return [row for split in splits for row in read_split(out, split)]


def test_the_folder_holds_what_later_steps_read(sources):
    summary = build(sources, *PLAN)
    out = sources / "out"
    train = read_split(out, "train")
    assert list(train[0]) == COLUMNS
    assert summary.split_counts()["train"] == {"rows": 200, "safe": 160, "unsafe": 40}
    assert [len(read_split(out, split)) for split in SPLITS] == [200, 25, 25]
    assert {row["source"] for row in read_split(out, "holdout")} == {"mails"}
    assert {(row["source"], row["weight"]) for row in train} == {("notes", 0.5), ("tricks", 1.0)}
    assert {row["checkpoint"] for row in train} == {"document", "user_input"}
    assert {path.name for path in out.iterdir()} == {
        *(f"{split}.parquet" for split in (*SPLITS, "holdout")),
        *("manifest.json", "README.md", "histograms.png", "dropped.jsonl"),
    }


def test_the_manifest_accounts_for_every_row_and_file(sources):
    build(sources, *PLAN)
    out = sources / "out"
    manifest = json.loads((out / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        content = (out / name).read_bytes()
        assert entry == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    used = {source["name"]: source for source in manifest["sources"]}
    assert used["letters"] == {
        "name": "letters",
        "license": "MIT",
        "origin": None,
        "used": False,
        "why": "private",
    }
    for name in ("notes", "tricks", "mails"):
        kept, dropped = used[name]["kept"], used[name]["dropped"]
        assert used[name]["read"] == sum(kept.values()) + sum(dropped.values())
        assert used[name]["files"][f"{name}.jsonl"]
    assert used["tricks"]["dropped"] == {"cap": 50}
    assert sum(cell["rows"] for cell in manifest["counts"]) == 280
    assert {cell["lang"] for cell in manifest["counts"]} == {"en", "und"}
    assert manifest["seed"] == 42


def test_the_card_names_licenses_and_what_was_left_out(sources):
    build(sources, *PLAN, description="Made up.")
    card = (sources / "out" / "README.md").read_text()
    assert "Made up." in card
    assert "| notes | MIT | 200 | 200 | 0 |  |" in card
    assert "| mails | MIT | 30 | 30 | 0 | yes |" in card
    assert "| cap | 50 |" in card
    assert "letters (MIT): private" in card
    assert (sources / "out" / "histograms.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_input_gives_the_same_bytes_however_many_work(sources, monkeypatch):
    build(sources, *PLAN)
    monkeypatch.setattr("pangolin_guard.train.dataset.PARALLEL_FROM_BYTES", 0)
    build(sources, *PLAN, out="again", options=BuildOptions(workers=2))
    for name in (*(f"{split}.parquet" for split in (*SPLITS, "holdout")), "dropped.jsonl"):
        assert (sources / "out" / name).read_bytes() == (sources / "again" / name).read_bytes()
    assert (sources / "out" / "manifest.json").read_text() == (
        sources / "again" / "manifest.json"
    ).read_text()


def test_another_seed_splits_otherwise(sources):
    build(sources, *PLAN)
    build(sources, *PLAN, out="other", seed=7)
    assert read_split(sources / "out", "train") != read_split(sources / "other", "train")


def test_no_text_is_in_any_file_but_the_parquet_ones(sources):
    build(sources, *PLAN)
    words = {word.encode() for text in sentences(200, 1) for word in text.split()}
    for path in (sources / "out").iterdir():
        content = path.read_bytes()
        assert path.suffix in (".parquet", ".png") or not any(word in content for word in words)


def test_near_copies_are_dropped_and_relatives_never_straddle(tmp_path):
    base = [text.split() for text in sentences(120, 4, length=30)]
    related = [
        " ".join([*words[:26], *extra.split()[:4]])
        for words, extra in zip(base, sentences(120, 5), strict=True)
    ]
    copies = [" ".join([*words, "now"]) for words in base]
    texts = [*(" ".join(words) for words in base), *related, *copies]
    write_rows(tmp_path / "one.jsonl", ({"text": text, "label": 0} for text in texts))
    build(tmp_path, {"name": "one"})
    reasons = Counter(one["reason"] for one in read_dropped(tmp_path / "out"))
    assert reasons["near_duplicate"] >= 118
    homes: dict[int, set[str]] = {}
    for split in SPLITS:
        for row in read_split(tmp_path / "out", split):
            homes.setdefault(row["group"], set()).add(split)
    assert max(len(splits) for splits in homes.values()) == 1
    assert len(homes) < 150


def test_named_groups_never_straddle(tmp_path):
    write_rows(
        tmp_path / "one.jsonl",
        [{**row, "goal": f"g{at % 20}"} for at, row in enumerate(rows(200))],
    )
    build(tmp_path, {"name": "one", "group_by": "goal"})
    counts = Counter(row["group"] for row in everything(tmp_path / "out"))
    assert set(counts.values()) == {10}
    homes = {
        (row["group"], split) for split in SPLITS for row in read_split(tmp_path / "out", split)
    }
    assert len(homes) == 20


def test_contradictions_go_from_every_source(tmp_path):
    (text,) = sentences(1, 8)
    write_rows(tmp_path / "one.jsonl", [*rows(20), {"text": text, "label": 0}])
    write_rows(tmp_path / "two.jsonl", [{"text": f"{text}!".upper(), "label": 1}])
    build(tmp_path, {"name": "one"}, {"name": "two"})
    dropped = [one for one in read_dropped(tmp_path / "out") if one["reason"] == "label_conflict"]
    assert [(one["source"], one["row"]) for one in dropped] == [("one", 21), ("two", 1)]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["label_conflicts"] == 1


def test_benchmark_rows_and_their_near_copies_are_removed_and_counted(tmp_path):
    (text,) = sentences(1, 8, length=30)
    save_signatures(make_signatures({"suite": [text]}), tmp_path / "s.npz")
    words = text.split()
    bad = [text, f"As they say: {text}", " ".join([*words[:28], "other", "end"])]
    write_rows(tmp_path / "one.jsonl", [*rows(20), *({"text": one, "label": 1} for one in bad)])
    build(tmp_path, {"name": "one"}, options=BuildOptions(signatures=tmp_path / "s.npz"))
    dropped = read_dropped(tmp_path / "out")
    assert [(one["row"], one["reason"]) for one in dropped] == [
        (row, "contaminated:suite") for row in (21, 22, 23)
    ]


def test_gallery_rows_are_never_trained_on(tmp_path):
    text = load_gallery()[0].text
    write_rows(tmp_path / "one.jsonl", [*rows(20), {"text": text.upper(), "label": 1}])
    build(tmp_path, {"name": "one"})
    assert [one["reason"] for one in read_dropped(tmp_path / "out")] == ["contaminated:gallery"]


def test_without_signatures_nothing_is_built(sources):
    with pytest.raises(DatasetError, match="signatures"):
        build(sources, *PLAN, options=BuildOptions(signatures=sources / "none.npz"))
    assert not (sources / "out").exists()


def test_rows_near_a_held_out_source_are_not_trained_on(sources):
    copy = {"text": sentences(30, 3)[0] + " today", "label": 1}
    write_rows(sources / "tricks.jsonl", [copy, *rows(40, 2, label=1)])
    build(sources, *PLAN)
    (dropped,) = [one for one in read_dropped(sources / "out") if one["reason"] == "near_holdout"]
    assert (dropped["source"], dropped["row"]) == ("tricks", 1)


def test_bad_rows_stop_the_build_or_are_reported(sources):
    write_rows(sources / "notes.jsonl", [{"text": "private words", "label": 5}, *rows(50, 1)])
    with pytest.raises(DatasetError, match="source 'notes', row 1, field 'label'") as caught:
        build(sources, *PLAN)
    assert "private" not in str(caught.value)
    assert not (sources / "out" / "manifest.json").exists()
    build(sources, *PLAN, options=BuildOptions(on_bad_row="skip"))
    first = read_dropped(sources / "out")[0]
    assert (first["row"], first["field"]) == (1, "label")
    assert first["reason"].startswith("bad_row:")


def test_a_bad_row_in_a_worker_is_the_same_error(sources, monkeypatch):
    monkeypatch.setattr("pangolin_guard.train.dataset.PARALLEL_FROM_BYTES", 0)
    write_rows(sources / "notes.jsonl", [{"label": 0}])
    with pytest.raises(DatasetError, match="source 'notes', row 1, field 'text'") as caught:
        build(sources, *PLAN, options=BuildOptions(workers=2))
    assert caught.value.row == 1


def test_a_later_build_leaves_nothing_of_an_earlier_one(sources):
    build(sources, *PLAN)
    build(sources, *PLAN[:2])
    assert not (sources / "out" / "holdout.parquet").exists()
    assert "holdout.parquet" not in (sources / "out" / "manifest.json").read_text()


def test_the_root_is_where_relative_paths_start(sources, tmp_path_factory):
    recipe = write_recipe(tmp_path_factory.mktemp("recipes"), *PLAN)
    with pytest.raises(DatasetError, match="--root"):
        build_dataset(recipe, sources / "out")
    build_dataset(recipe, sources / "out", options=BuildOptions(root=sources))
    assert (sources / "out" / "manifest.json").is_file()


def test_a_source_can_be_an_address_of_a_json_array(tmp_path):
    body = json.dumps([{"prompt": t, "label": "safe", "source": "q"} for t in sentences(40)])
    plan = {"name": "web", "columns": {"text": "prompt", "kind": "source"}}
    options = BuildOptions(cache=tmp_path / "cache")
    with FileServer(body.encode()) as server:
        url = server.url
        build(tmp_path, {**plan, "url": url}, options=options)
    assert {row["kind"] for row in everything(tmp_path / "out")} == {"q"}
    assert url in (tmp_path / "sources.lock").read_text()
    again = BuildOptions(cache=tmp_path / "cache", offline=True)
    build(tmp_path, {**plan, "url": url}, out="again", options=again)
    with pytest.raises(DownloadError, match="put it at"):
        build(
            tmp_path,
            {**plan, "url": url},
            out="third",
            options=BuildOptions(cache=tmp_path / "empty", offline=True),
        )


@pytest.mark.parametrize("plan", [{"keep": {"label": 1}}, {"split": "holdout"}])
def test_a_build_without_training_rows_is_an_error(tmp_path, plan):
    write_rows(tmp_path / "one.jsonl", rows(10))
    with pytest.raises(DatasetError, match="no row"):
        build(tmp_path, {"name": "one", **plan})


@pytest.mark.parametrize("settings", [{"on_bad_row": "ignore"}, {"workers": 0}])
def test_options_are_checked(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        BuildOptions(**settings)


def test_progress_tells_every_stage(sources):
    told = []
    build(sources, *PLAN, options=BuildOptions(progress=lambda *what: told.append(what)))
    assert [what for what in told if what[1] == what[2]] == [
        ("read", 3, 3),
        ("compare", 5, 5),
        ("write", 1, 1),
    ]
