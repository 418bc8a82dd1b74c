"""Known answers for package stats, by brute force and by SciPy. Nothing here shares code or algorithm with the package:
intervals are bisected on p-values that are counted over all sign patterns, two-look plans are enumerated pattern by pattern.

    python3 -m venv venv && venv/bin/pip install numpy==2.2.6 scipy==1.15.3
    venv/bin/python oracle.py > oracle.json
"""
import itertools
import json
import math
import sys

import numpy as np
import scipy
from scipy import stats

NUMPY, SCIPY = "2.2.6", "1.15.3"
if (np.__version__, scipy.__version__) != (NUMPY, SCIPY):
    sys.exit(f"wants numpy {NUMPY} and scipy {SCIPY}, found {np.__version__} and {scipy.__version__}")

rng = np.random.default_rng(20261101)
SIGNS = {n: np.array(list(itertools.product((1.0, -1.0), repeat=n))) for n in range(1, 17)}


def samples():
    """Named samples: every size, and what usually breaks such code."""
    out = {f"normal {n}": np.round(rng.normal(0.01, 0.02, n), 6) for n in range(1, 17)}
    out |= {f"shifted {n}": np.round(rng.normal(0.05, 0.02, n), 6) for n in (6, 7, 8, 9, 12)}
    out["maize"] = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48], float)
    out["ties"] = np.array([1, 1, 1, 2, 2, -1, -1, 3], float)
    out["all equal"] = np.full(8, 0.03)
    out["all zero"] = np.zeros(8)
    out["some zeros"] = np.array([0, 0, 0, 0.02, 0.03, -0.01, 0.04, 0.01])
    out["antisymmetric"] = np.array([1, -1, 2, -2, 3, -3], float)
    out["one outlier"] = np.array([0.01, 0.012, 0.009, 0.011, 0.01, 0.013, 0.008, -0.9])
    out["decades"] = np.array([1e-9, 1e-6, 1e-3, 1, 1e3, 1e6, -1e-9, -1])
    out["huge"] = np.array([3e300, 1e300, -2e300, 5e300, 4e300, 2e300, 1e299])
    out["tiny"] = np.array([3e-300, 1e-300, -2e-300, 5e-300, 4e-300, 2e-300, 1e-301])
    return out


def p_value(d):
    """The share of sign patterns whose |sum| reaches the observed one."""
    sums = np.abs(SIGNS[len(d)] @ d)
    return float(np.mean(sums >= abs(d.sum()) * (1 - 1e-12) - 1e-13 * np.abs(d).sum()))


def bisect(inside, outside, kept):
    """The boundary between a theta that is kept and one that is not."""
    for _ in range(200):
        mid = inside + (outside - inside) / 2
        if mid in (inside, outside):
            break
        inside, outside = (mid, outside) if kept(mid) else (inside, mid)
    return inside


def interval(x, alpha):
    """All theta with p > alpha, or None where even the farthest is kept."""
    if 2 / 2 ** len(x) > alpha:
        return None
    kept = lambda theta: p_value(x - theta) > alpha * (1 + 1e-9)
    far = 2 * (np.abs(x).max() + np.abs(x).max() + 1e-305)
    return [bisect(x.mean(), x.mean() - far, kept), bisect(x.mean(), x.mean() + far, kept)]


def sign_flip():
    out = []
    for name, x in samples().items():
        p = p_value(x)
        if len(x) > 1 and 1e-100 < np.abs(x).max() < 1e100:
            scipys = stats.permutation_test((x,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False).pvalue
            assert abs(scipys - p) < 1e-9, (name, scipys, p)
        thetas = [0.0, float(x.mean()), float(x.min()), float(x.max())]
        out.append({"name": name, "x": x.tolist(), "mean": float(x.mean()), "p": [[t, p_value(x - t)] for t in thetas],
                    "intervals": [{"alpha": a, "limits": interval(x, a)} for a in (0.05, 0.05 / 2, 0.05 / 4, 0.05 / 12, 0.2)]})
    return out


def two_looks(x, alpha, n1):
    """Whether mean 0 is rejected at the second look, its critical p and the share that all patterns spend."""
    signs, n2 = SIGNS[len(x)], len(x)
    d = np.abs(x)
    first = np.abs(SIGNS[n1] @ d[:n1])
    tol1, tol2 = 1e-12 * d[:n1].sum(), 1e-12 * d.sum()
    p1 = np.mean(first[None, :] >= np.abs(signs[:, :n1] @ d[:n1])[:, None] - tol1, axis=1)
    sums = np.abs(signs @ d)
    p2 = np.mean(sums[None, :] >= sums[:, None] - tol2, axis=1)
    early = p1 <= 0.75 * alpha + 1e-12
    critical, spent = 0.0, float(early.mean())
    for c in np.unique(p2):
        share = float(np.mean(early | (p2 <= c)))
        if share > alpha + 1e-12:
            break
        critical, spent = float(c), share
    p = float(np.mean(sums >= abs(x.sum()) - tol2))
    return {"x": x.tolist(), "alpha": alpha, "looks": [n1, n2], "critical": critical, "spent": spent, "p": p, "rejected": p <= critical}


def plans():
    out = []
    for alpha, n1, n2 in ((0.05, 8, 12), (0.05, 6, 8), (0.025, 8, 12), (0.0125, 8, 12), (0.01, 8, 12), (0.05, 7, 11)):
        for mean in (0, 0.008, 0.013, 0.02, -0.03):
            out.append(two_looks(np.round(rng.normal(mean, 0.02, n2), 6), alpha, n1))
    out.append(two_looks(np.array([1, -1, 1, 1, 1, 1, 1, 1.0]), 0.05, 6))
    out.append(two_looks(np.array([0, 0, 0, 0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08]), 0.05, 8))
    return out


def student():
    dfs = (0.5, 1, 2, 3, 3.7, 5, 7, 8, 11, 15, 30, 120, 1000)
    ps = (1e-6, 0.0005, 0.0020833333333333333, 0.01, 0.025, 0.05, 0.2, 0.4999, 0.5, 0.6, 0.8, 0.95, 0.975, 0.99375, 0.9995)
    ts = (-1e6, -40, -4.2, -1, -1e-3, 0, 0.5, 2.36, 12.7, 300)
    return {"quantile": [[p, df, stats.t.ppf(p, df)] for df in dfs for p in ps], "cdf": [[t, df, stats.t.cdf(t, df)] for df in dfs for t in ts]}


def mde(n, sd, alpha, delta):
    se, df = sd / math.sqrt(n), n - 1
    likely = stats.t.ppf(0.8, df) * se
    return max(stats.t.ppf(1 - alpha / 2, df) * se + likely, delta + likely)


def detectable():
    return [[n, sd, alpha, delta, mde(n, sd, alpha, delta)]
            for n in (2, 6, 8, 12, 16) for sd in (0.001, 0.015, 0.3) for alpha in (0.05, 0.05 / 4) for delta in (0, math.log1p(0.01), math.log1p(0.03))]


def quantiles():
    xs = [[3.0], [1.0, 2.0], [16, 1, 8, 2, 4.0], [5.0] * 7, [1, 1, 1, 2, 9.0], rng.exponential(1, 20).tolist(), rng.normal(0, 1, 101).tolist()]
    return [{"x": x, "at": [[q, float(np.quantile(x, q, method="linear"))] for q in (0, 0.01, 0.1, 0.25, 0.5, 0.6, 0.95, 0.99, 1)]} for x in xs]


def slopes():
    out = []
    for n, b, noise in ((3, 0.5, 1), (5, 0, 1), (10, 0.2, 1), (20, -0.3, 2), (20, 0.05, 1), (200, 0.01, 3)):
        x = np.round(np.sort(rng.uniform(0, n, n)), 6)
        y = np.round(5 + b * x + rng.normal(0, noise, n), 6)
        r = stats.linregress(x, y, alternative="greater")
        out.append({"x": x.tolist(), "y": y.tolist(), "slope": r.slope, "p": r.pvalue})
    return out


def kolmogorov():
    out = []
    for n in (5, 8, 20, 100, 1000):
        for scale in (1, 1.3, 1.8):
            x = np.round(rng.exponential(scale, n), 6)
            r = stats.kstest(x, "expon")
            out.append({"x": x.tolist(), "d": r.statistic, "p": r.pvalue})
    return out


json.dump({"made_by": f"oracle.py, numpy {NUMPY}, scipy {SCIPY}", "sign_flip": sign_flip(), "two_looks": plans(), "student": student(),
           "mde": detectable(), "quantiles": quantiles(), "slopes": slopes(), "kolmogorov": kolmogorov()}, sys.stdout, default=float, separators=(",", ":"))
print()
