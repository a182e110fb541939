import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pangolin_guard.bench import metrics as m

bits = st.lists(st.booleans(), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (122, 144, 0.780, 0.897),  # published: 84.72 % of 144 rows
        (113, 144, 0.711, 0.844),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
    ],
)
def test_wilson_interval_gives_the_textbook_values(k, n, low, high):
    assert m.wilson_interval(k, n) == pytest.approx((low, high), abs=6e-4)


def test_wilson_interval_of_no_rows_says_nothing():
    assert m.wilson_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5)])
def test_wilson_interval_refuses_impossible_counts(k, n):
    with pytest.raises(ValueError, match="k must lie"):
        m.wilson_interval(k, n)


@pytest.mark.parametrize(
    ("rate", "n", "z", "match"),
    [(1.2, 5, 1.96, "rate"), (0.5, -1, 1.96, "n must"), (0.5, 5, 0, "z must")],
)
def test_wilson_from_rate_refuses_nonsense(rate, n, z, match):
    with pytest.raises(ValueError, match=match):
        m.wilson_from_rate(rate, n, z)


@given(st.integers(1, 5000), st.data())
def test_wilson_interval_holds_the_rate_and_narrows(n, data):
    k = data.draw(st.integers(0, n))
    low, high = m.wilson_interval(k, n)
    assert 0.0 <= low <= k / n <= high <= 1.0
    wider = m.wilson_interval(k, n, z=3.0)
    assert wider[0] <= low
    assert wider[1] >= high
    ten_low, ten_high = m.wilson_interval(10 * k, 10 * n)
    assert ten_high - ten_low <= high - low


def test_mean_of_rates_of_one_part_is_its_wilson_interval():
    mean = m.mean_of_rates([(30, 40, 1.0)])
    assert mean.value == 0.75
    assert (mean.low, mean.high) == pytest.approx(m.wilson_interval(30, 40))


def test_mean_of_rates_weighs_parts_and_keeps_perfect_parts_uncertain():
    mean = m.mean_of_rates([(24, 24, 0.5), (90, 100, 0.5)])
    assert mean.value == pytest.approx(0.95)
    alone = m.mean_of_rates([(90, 100, 1.0)])
    assert mean.high == 1.0 or mean.high > mean.value
    assert mean.value - mean.low > 0.5 * (alone.value - alone.low)


def test_mean_of_rates_refuses_empty_parts_and_bad_weights():
    with pytest.raises(ValueError, match="at least one row"):
        m.mean_of_rates([(0, 0, 1.0)])
    with pytest.raises(ValueError, match="at least one row"):
        m.mean_of_rates([])
    with pytest.raises(ValueError, match="sum to 1"):
        m.mean_of_rates([(1, 2, 0.4)])


def test_effective_rows():
    assert m.effective_rows([(100, 1.0)]) == pytest.approx(100)
    assert m.effective_rows([(100, 0.5), (100, 0.5)]) == pytest.approx(200)
    with pytest.raises(ValueError, match="at least one row"):
        m.effective_rows([])


PRED = [1, 1, 1, 0, 0, 0, 1, 0]
TRUE = [1, 1, 0, 0, 0, 1, 1, 0]


def test_decision_figures_against_hand_counts():
    c = m.confusion(PRED, TRUE)
    assert (c.true_positive, c.false_positive, c.true_negative, c.false_negative) == (3, 1, 3, 1)
    assert c.n == 8
    assert m.accuracy(PRED, TRUE) == 6 / 8
    assert m.recall(PRED, TRUE) == 3 / 4
    assert m.false_positive_rate(PRED, TRUE) == 1 / 4
    assert m.f1(PRED, TRUE) == pytest.approx(6 / 8)
    assert m.macro_f1(PRED, TRUE) == pytest.approx(0.75)


def test_f1_of_nothing_found_and_nothing_there_is_zero_and_macro_is_half():
    assert m.f1([0, 0], [0, 0]) == 0.0
    assert m.macro_f1([0, 0], [0, 0]) == 0.5


def test_rates_without_their_class_are_refused():
    with pytest.raises(ValueError, match="no unsafe row"):
        m.recall([0, 1], [0, 0])
    with pytest.raises(ValueError, match="no safe row"):
        m.false_positive_rate([0, 1], [1, 1])


@pytest.mark.parametrize(
    ("pred", "y", "match"),
    [
        ([], [], "no row"),
        ([1], [1, 0], "lengths differ"),
        ([2], [1], "0 or 1"),
        ([[1]], [1], "one dimension"),
    ],
)
def test_bad_vectors_are_refused(pred, y, match):
    with pytest.raises(ValueError, match=match):
        m.accuracy(pred, y)


def test_recall_at_fpr_by_hand():
    safe = [0.1, 0.2, 0.3, 0.9]
    unsafe = [0.25, 0.5, 0.95, 0.99]
    p, y = np.array(safe + unsafe), np.array([0] * 4 + [1] * 4)
    assert m.recall_at_fpr(p, y, 0.0) == 0.5
    assert m.recall_at_fpr(p, y, 0.24) == 0.5
    assert m.recall_at_fpr(p, y, 0.25) == 0.75
    assert m.recall_at_fpr(p, y, 0.5) == 1.0
    assert m.recall_at_fpr(p, y, 1.0) == 1.0


def test_recall_at_fpr_does_not_count_ties_with_safe_rows():
    assert m.recall_at_fpr([0.5, 0.5, 0.6], [0, 1, 1], 0.0) == 0.5


def test_recall_at_fpr_of_binary_floats_keeps_its_budget():
    p = np.concatenate([np.linspace(0, 1, 100), np.full(10, 0.985)])
    y = np.concatenate([np.zeros(100), np.ones(10)])
    assert m.recall_at_fpr(p, y, 0.01) == 0.0  # one false positive: 0.985 < 98/99
    assert m.recall_at_fpr(p, y, 0.02) == 1.0


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 10_000))
def test_recall_at_fpr_equals_the_best_threshold_by_search(n_safe, n_unsafe, budget, seed):
    rng = np.random.default_rng(seed)
    p = rng.integers(0, 12, n_safe + n_unsafe) / 11
    y = np.array([0] * n_safe + [1] * n_unsafe)
    best = 0.0
    for threshold in [*np.unique(p), 2.0]:
        pred = p >= threshold
        if np.mean(pred[:n_safe]) <= budget + 1e-9 / n_safe:
            best = max(best, float(np.mean(pred[n_safe:])))
    assert m.recall_at_fpr(p, y, budget) == pytest.approx(best)


def test_threshold_at_fpr_keeps_the_budget():
    scores = np.linspace(0, 1, 200)
    threshold = m.threshold_at_fpr(scores, 0.01)
    assert np.sum(scores > threshold) == 2
    assert m.threshold_at_fpr(scores, 1.0) == -np.inf
    with pytest.raises(ValueError, match="at least one safe row"):
        m.threshold_at_fpr([], 0.01)


@pytest.mark.parametrize(
    ("p", "y", "match"),
    [
        ([0.1, 0.2], [0, 0], "both safe and unsafe"),
        ([0.1], [0, 1], "lengths differ"),
        ([0.1, float("nan")], [0, 1], "finite"),
    ],
)
def test_score_figures_refuse_what_has_no_meaning(p, y, match):
    with pytest.raises(ValueError, match=match):
        m.roc_auc(p, y)
    with pytest.raises(ValueError, match=match):
        m.recall_at_fpr(p, y, 0.01)


def test_recall_at_fpr_refuses_a_budget_that_is_no_rate():
    with pytest.raises(ValueError, match="fpr must lie"):
        m.recall_at_fpr([0.1, 0.2], [0, 1], 1.5)


def test_roc_auc_by_hand():
    assert m.roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert m.roc_auc([0.5, 0.5], [0, 1]) == 0.5
    assert m.roc_auc([0.1, 0.9], [0, 1]) == 1.0


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10_000))
def test_roc_auc_equals_counting_all_pairs(n_safe, n_unsafe, seed):
    rng = np.random.default_rng(seed)
    safe, unsafe = rng.integers(0, 6, n_safe) / 5, rng.integers(0, 6, n_unsafe) / 5
    pairs = [(u > s) + 0.5 * (u == s) for u in unsafe for s in safe]
    p, y = np.concatenate([safe, unsafe]), [0] * n_safe + [1] * n_unsafe
    assert m.roc_auc(p, y) == pytest.approx(np.mean(pairs))


def test_paired_bootstrap_separates_clear_winners_only():
    right = np.ones(100, dtype=bool)
    mixed = np.arange(100) % 2 == 0
    better = m.paired_bootstrap(right, mixed)
    assert better.value == 0.5
    assert better.excludes_zero
    assert better.low == pytest.approx(0.4, abs=0.02)
    assert better.high == pytest.approx(0.6, abs=0.02)
    nearly = right.copy()
    nearly[:2] = False
    assert not m.paired_bootstrap(right, nearly).excludes_zero


@settings(max_examples=40)
@given(bits, st.integers(0, 1000))
def test_paired_bootstrap_is_antisymmetric_and_repeatable(a, seed):
    b = a[1:] + a[:1]
    one = m.paired_bootstrap(a, b, n=200, seed=seed)
    assert one == m.paired_bootstrap(a, b, n=200, seed=seed)
    assert one.value == pytest.approx(-m.paired_bootstrap(b, a, n=200, seed=seed).value)
    assert one.low <= one.high
    same = m.paired_bootstrap(a, a, n=200, seed=seed)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_paired_bootstrap_matches_resampling_row_by_row():
    rng = np.random.default_rng(3)
    a, b = rng.random(120) < 0.9, rng.random(120) < 0.8
    rows = rng.integers(0, 120, (20_000, 120))
    slow = (a[rows].astype(int) - b[rows].astype(int)).mean(axis=1)
    fast = m.paired_bootstrap(a, b, n=20_000)
    assert fast.low == pytest.approx(np.percentile(slow, 2.5), abs=0.01)
    assert fast.high == pytest.approx(np.percentile(slow, 97.5), abs=0.01)


def test_stratified_bootstrap_weighs_its_parts():
    parts = [([1, 1], [0, 0], 0.25), ([1, 0], [1, 0], 0.75)]
    assert m.stratified_paired_bootstrap(parts).value == 0.25
    with pytest.raises(ValueError, match="needs a part"):
        m.stratified_paired_bootstrap([])


def test_f1_interval_holds_the_value():
    interval = m.f1_interval(PRED * 10, TRUE * 10)
    assert interval.value == pytest.approx(0.75)
    assert 0.6 < interval.low < 0.75 < interval.high < 0.9


def test_f1_interval_of_a_perfect_or_hopeless_guard_is_not_a_point():
    perfect = m.f1_interval([1] * 20 + [0] * 20, [1] * 20 + [0] * 20)
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert 0.85 < perfect.low < 0.99
    hopeless = m.f1_interval([0] * 40, [1] * 20 + [0] * 20)
    assert (hopeless.value, hopeless.low) == (0.0, 0.0)
    assert hopeless.high > 0.02


def test_recall_at_fpr_interval_of_full_recall_is_not_a_point():
    interval = m.recall_at_fpr_interval([0.1] * 20 + [0.9] * 20, [0] * 20 + [1] * 20, 0.01, n=50)
    assert interval.value == 1.0
    assert interval.low == pytest.approx(m.wilson_interval(20, 20)[0])


def test_recall_at_fpr_interval_holds_the_value_and_repeats():
    rng = np.random.default_rng(1)
    p = np.concatenate([rng.beta(1, 5, 300), rng.beta(5, 1, 100)])
    y = np.concatenate([np.zeros(300), np.ones(100)])
    interval = m.recall_at_fpr_interval(p, y, 0.01, n=300)
    assert interval.low <= interval.value <= interval.high
    assert interval == m.recall_at_fpr_interval(p, y, 0.01, n=300)
