"""The folds of a tuning trial, fitted by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from threadpoolctl import threadpool_limits

from cryptobot_assets.cluster import Cluster, Lent, LentDataLost, open_cluster
from cryptobot_assets.models.base import Algorithm, Params
from cryptobot_assets.models.tuning import PredictFolds, Split, predict_fold
from cryptobot_assets.settings import Settings
from cryptobot_assets.storage.store import Store

LENDINGS = 3
"""Times that the folds' rows are sent to workers before a trial that loses them again is given up."""
Errand = tuple[Algorithm, Split, Params, int]


@contextmanager
def folds_elsewhere(settings: Settings, algorithm: Algorithm) -> Iterator[PredictFolds | None]:
    """What fits an algorithm on folds by the workers of the cluster that the settings name; None where they name none.

    Each fold of a trial is a piece of work, on one thread as it is here, so predictions have the same bits however
    many workers there are. The folds' rows are sent to the workers once, and again when those who held them are gone.
    """
    if settings.cluster_url is None:
        yield None
        return
    with open_cluster(settings) as cluster:
        yield FoldsElsewhere(cluster, algorithm)


class FoldsElsewhere:
    """`PredictFolds` by the workers of a cluster."""

    def __init__(self, cluster: Cluster, algorithm: Algorithm) -> None:
        self._cluster = cluster
        self._algorithm = algorithm
        self._lent: list[Lent] | None = None

    def __call__(self, params: Params, splits: Sequence[Split], seed: int) -> list[np.ndarray]:
        for _ in range(LENDINGS - 1):
            try:
                return self._predict(params, splits, seed)
            except LentDataLost:
                self._lent = None
        return self._predict(params, splits, seed)

    def _predict(self, params: Params, splits: Sequence[Split], seed: int) -> list[np.ndarray]:
        if self._lent is None:
            self._lent = [self._cluster.lend(split) for split in splits]
        # The last fold has the most rows and starts first.
        errands = [(self._algorithm, split, dict(params), seed) for split in reversed(self._lent)]
        return list(self._cluster.spread(run_errand, errands))[::-1]


def run_errand(store: Store, errand: Errand) -> np.ndarray:
    """One fold by a worker; the rows come with the errand and not from the store."""
    algorithm, split, params, seed = errand
    with threadpool_limits(1, user_api="blas"):
        return predict_fold(algorithm, split, params, seed)
