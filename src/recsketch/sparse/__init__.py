"""Sparse and least squares solvers for y = A x: A an array, a linear operator, or a `SubsampledHadamard`.

Orthogonal matching pursuit and its relatives find an x of few non-zeros. On a `SubsampledHadamard` they run in C,
without the matrix: many signals at once, the same bits for any number of threads and on every processor. On arrays and
other operators they are NumPy's matrix products, all signals together, and the bits are those of NumPy's BLAS.

Examples
--------
>>> import numpy as np
>>> from recsketch import SubsampledHadamard
>>> A = SubsampledHadamard(128, 1024, seed=3)
>>> x = np.zeros(1024)
>>> x[[7, 300, 900]] = [1.0, -2.0, 0.5]
>>> found = omp(A, A.matvec(x), 3)
>>> found.support.tolist(), bool(np.allclose(found.coef, x))
([300, 7, 900], True)
"""

from recsketch.sparse._hadamard import SubsampledHadamard
from recsketch.sparse._solution import Solution
from recsketch.sparse._solvers import bomp, cgls, htp, omp

__all__ = ["Solution", "SubsampledHadamard", "bomp", "cgls", "htp", "omp"]
