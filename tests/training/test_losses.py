from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dilannot.data.batch import LabelIntervals
from dilannot.genome.intervals import runs
from dilannot.training.losses import interval_cross_entropy


def intervals_of(dense: np.ndarray) -> LabelIntervals:
    rows = [
        (window, marker, start, end)
        for window, markers in enumerate(dense)
        for marker, row in enumerate(markers)
        for start, end in zip(*runs(row), strict=True)
    ]
    columns = np.array(rows, np.int64).reshape(-1, 4).T
    return LabelIntervals(*(torch.from_numpy(np.ascontiguousarray(column)) for column in columns))


@settings(deadline=None)
@given(seed=st.integers(0, 10**6), rate=st.sampled_from([0.0, 0.1, 0.9]), masked=st.sampled_from([0.0, 0.3]))
def test_loss_and_gradient_equal_dense_cross_entropy(seed: int, rate: float, masked: float) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 9, 3))
    dense = random.random(shape) < rate
    mask = torch.from_numpy(random.random((shape[0], shape[2])) >= masked)
    logits = torch.from_numpy(random.normal(0, 5, shape).astype(np.float32)).requires_grad_()
    labels = torch.from_numpy(dense).float()
    each = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels, reduction="none") * mask[:, None]
    expected = each.sum() / max(int(mask.sum()) * shape[1], 1)
    (wanted,) = torch.autograd.grad(expected, logits)
    loss = interval_cross_entropy(logits, intervals_of(dense), mask)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(loss, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(gradient, wanted, atol=1e-7, rtol=1e-5)
