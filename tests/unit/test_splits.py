from importlib.util import find_spec

import pytest

from bench_fakes import FakeJudge
from pangolin_guard import Checkpoint, DatasetError
from pangolin_guard.bench.figures import AT
from pangolin_guard.bench.run import RunOptions, run_split
from pangolin_guard.bench.splits import load_split

if find_spec("pyarrow") is None:
    pytest.skip("needs the data extra (pyarrow)", allow_module_level=True)

COLUMNS = {
    "text": ["calm one", "calm two", "full of doubt", "attack", "attack again", "inside it"],
    "label": [0, 0, 0, 1, 1, 1],
    "checkpoint": ["user_input", None, "user_input", "user_input", None, "document"],
    "source": ["chat", "chat", "mail", "mail", "mail", "mail"],
}


def write_split(folder, **changes):
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({**COLUMNS, **changes}), folder / "validation.parquet")
    return folder


def figures_of(folder, **options):
    result = run_split(FakeJudge(), load_split(folder, "validation"), options=RunOptions(**options))
    return {figure.key: figure for figure in result.model.figures}, result.model.splits


def test_a_split_is_read_with_its_checkpoints(tmp_path):
    split = load_split(write_split(tmp_path), "validation")
    assert split.texts == tuple(COLUMNS["text"])
    assert split.checkpoints[0] is Checkpoint.USER_INPUT
    assert split.checkpoints[1] is None


def test_overall_figures_of_a_split(tmp_path):
    figures, _ = figures_of(write_split(tmp_path))
    assert figures["split.accuracy"].value == pytest.approx(4 / 6)
    assert figures["split.recall"].value == pytest.approx(2 / 3)
    assert figures["split.fpr"].value == pytest.approx(1 / 3)
    assert figures["split.recall_1fpr"].value == pytest.approx(2 / 3)
    assert figures["split.auc"].value == pytest.approx((3 + 3 + 1) / 9)
    assert f"split.accuracy{AT}" not in figures


def test_rows_may_also_be_judged_at_their_checkpoints(tmp_path):
    figures, splits = figures_of(write_split(tmp_path), at_checkpoint=True)
    assert figures["split.recall"].value == pytest.approx(2 / 3)
    assert figures[f"split.recall{AT}"].value == 1.0
    assert len(splits) == 2


def test_every_source_and_checkpoint_has_a_line(tmp_path):
    _, (one,) = figures_of(write_split(tmp_path))
    groups = {(group.by, group.name): group for group in one.groups}
    chat, mail = groups["source", "chat"], groups["source", "mail"]
    assert (chat.n, chat.unsafe, chat.accuracy.value, chat.fpr) == (2, 0, 1.0, 0.0)
    assert chat.recall is None
    assert chat.recall_1 is None
    assert (mail.n, mail.unsafe) == (4, 3)
    assert mail.fpr == 1.0
    assert mail.recall == pytest.approx(2 / 3)
    assert mail.fpr_1 == 0.0  # at the score that flags 1 % of all benign rows
    assert mail.recall_1 == pytest.approx(2 / 3)
    assert set(groups) == {
        ("source", "chat"),
        ("source", "mail"),
        ("checkpoint", "user_input"),
        ("checkpoint", "document"),
        ("checkpoint", "origin_unknown"),
    }


def test_a_split_of_one_class_has_only_the_figures_that_mean_something(tmp_path):
    figures, (one,) = figures_of(write_split(tmp_path, label=[0] * 6))
    assert set(figures) == {"split.accuracy", "split.fpr", "split.f1"}
    assert all(group.fpr_1 is None for group in one.groups)


def test_a_second_guard_is_compared_row_by_row(tmp_path):
    split = load_split(write_split(tmp_path), "validation")
    result = run_split(FakeJudge(), split, options=RunOptions(), other=FakeJudge("blind", words={}))
    assert result.other.name == "blind"
    found = {comparison.figure: comparison for comparison in result.comparisons}
    assert found["split.recall"].difference.value == pytest.approx(2 / 3)


def test_a_missing_split_names_those_that_are_there(tmp_path):
    with pytest.raises(DatasetError, match="splits found: validation"):
        load_split(write_split(tmp_path), "holdout")
    with pytest.raises(DatasetError, match="pangolin data build"):
        load_split(tmp_path / "nowhere", "holdout")


@pytest.mark.parametrize(
    ("changes", "field", "row"),
    [
        ({"label": [0, 0, 7, 1, 1, 1]}, "label", 3),
        ({"text": ["a", None, "c", "d", "e", "f"]}, "text", 2),
        ({"checkpoint": ["moon", *[None] * 5]}, "checkpoint", 1),
    ],
)
def test_bad_values_are_named_by_row_and_field(tmp_path, changes, field, row):
    with pytest.raises(DatasetError) as caught:
        load_split(write_split(tmp_path, **changes), "validation")
    assert (caught.value.field, caught.value.row) == (field, row)


def test_a_missing_column_an_empty_table_and_a_broken_file_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "validation.parquet"
    pq.write_table(pa.table({"text": ["a"]}), path)
    with pytest.raises(DatasetError, match="no column 'label'"):
        load_split(tmp_path, "validation")
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in COLUMNS}), path)
    with pytest.raises(DatasetError, match="holds no row"):
        load_split(tmp_path, "validation")
    path.write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match="no readable Parquet"):
        load_split(tmp_path, "validation")
