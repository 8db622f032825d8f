"""Bugs that once survived the whole suite, as (file, text that occurs once there, what stands in its place).

`mutate.py --planted` plants them again, one at a time; what moved since is planted where its task is done now.
"""

from __future__ import annotations

PLANTED = [
    # the core
    ("csrc/base/memory.c", "(PTRDIFF_MAX - 128) / each", "(size_t)-1"),
    ("csrc/base/philox.c", "n < 0 || (uint64_t)n > MOST_WORDS", "n < 0"),
    ("csrc/base/select.c", "ties-- <= 0", "0"),
    ("csrc/recursion/plan.c", "|| !(sum <= most)) return", ") return"),
    ("csrc/recursion/plan.c", "objects > LARGEST || inputs > LARGEST || outputs > LARGEST ||", ""),
    (
        "csrc/recursion/sweep.c",
        "> PTRDIFF_MAX / 64 / (spec->dim + spec->max_padded)) return NULL;",
        "< 0) return NULL;",
    ),
    (
        "csrc/recursion/sweep.c",
        "    rsk_scratch_free(shares.scratch, shares.workers);\n",
        "",
    ),
    ("csrc/recursion/plan.c", "? (double)RSK_MAX_VALUE : RSK_MAX_WEIGHT", "? RSK_MAX_WEIGHT : RSK_MAX_WEIGHT"),
    ("csrc/recursion/plan.c", "sqrt(u * places[m->object[i]].mass / mass);", "sqrt(u);"),
    ("csrc/recursion/sweep.c", "WEIGHTS_COUNT && j->bad[t] == -1 && !rsk", "WEIGHTS_COUNT && 0 && !rsk"),
    (
        "csrc/recursion/attributes.c",
        "(float)(log2_of(j->norm[o]) / OCTAVES) : 1.0f",
        "(float)(log2_of(j->norm[o]) / OCTAVES) : 0.0f",
    ),
    ("csrc/recursion/attributes.c", "number[o] < 0 || number[o] >= coding->numbers", "number[o] < 0"),
    ("csrc/recursion/attributes.c", "2.0 * norm + (last - 1.0) * (last - 1.0) < 1.0", "norm == 0.0 && last == 1.0"),
    # reading
    ("csrc/reading/tree.c", "return (double)k * level; /* weights of 1 */", "return level;"),
    ("csrc/reading/evidence.c", "*ratio += l + log(o->rate);", "*ratio += 600.0;"),
    ("csrc/reading/unroll.c", "spec && spec->coherence < 1.0 && rsk_leaves", "spec && rsk_leaves"),
    ("csrc/reading/unroll.c", "if (rsk_fit_clean(f)) break;", "break;"),
    ("csrc/reading/ties.c", "solved ? t->size[i] * t->u[k] : 0.0", "(solved ? t->size[i] : 0.0) * t->u[k]"),
    ("csrc/reading/ties.c", "if (f->spread <= WORSE * spread) return 1;", "if (spread >= 0.0) return 1;"),
    ("csrc/reading/look.c", "if (rank_of(next) > next->peak - LOST) found", "if (0) found"),
    ("csrc/reading/look.c", "w->value += fmax(0.0, nats - FAR);", ""),
    ("csrc/reading/solve.c", "* sqrt((double)q->kept) : 0.0", "* sqrt((double)q->map.spec->dim) : 0.0"),
    ("csrc/reading/solve.c", "* (double)q->kept / (double)q->map.spec->dim;", ";"),
    ("csrc/reading/htp_sketch.c", "misfit(&q) > noise_bound(&q, noise)) run(&q, LIMIT", "0) run(&q, LIMIT"),
    (
        "csrc/reading/fit.c",
        "q->c[q->moved[i]] = q->c[i], q->alpha[q->moved[i]] = q->alpha[i];",
        "q->c[q->moved[i]] = q->c[i];",
    ),
    ("csrc/reading/evidence.c", "fmax(energy_of(q, i) - rsk_fit_length(q, i) * noise2, 0.0)", "energy_of(q, i)"),
    ("csrc/reading/detect.c", "q->used + count > q->capacity + q->window ? NULL : q->modules", "q->modules"),
    # parts
    ("csrc/parts/htp_hadamard.c", "    *square = project(f, energy, *square);\n", ""),
    ("csrc/parts/omp.c", "again < 2", "again < 1"),
    ("csrc/parts/omp.c", "    if (room > PTRDIFF_MAX / 8 / room || room > PTRDIFF_MAX / 8 / words) return 0;\n", ""),
    ("csrc/parts/scan.c", "any |= score[begin + i] >= least", "any |= score[begin + i] > least"),
    ("csrc/parts/tensor.c", "bits >= 0 && bits < t->padded", "bits >= 0"),
    ("csrc/kernels/columns.h", "lane[0] > best", "lane[0] >= best"),
    # the Python front
    ("src/recsketch/_check.py", "min(8.0, SLICE_SECONDS / max(elapsed, 1e-9))", "8.0"),
    (
        "src/recsketch/_check.py",
        "int(array.min()) < info.min or int(array.max()) > info.max",
        "int(array.max()) > info.max",
    ),
    (
        "src/recsketch/_files.py",
        "if e.errno not in (errno.EINVAL, errno.ENOTSUP):",
        "if e.errno not in (errno.EINVAL,):",
    ),
    ("src/recsketch/runs/batch.py", "np.any((x < 0) | (x >= end))", "np.any(x >= end)"),
    ("src/recsketch/runs/gathering.py", "chain.from_iterable(sorted(orders))", "chain.from_iterable(orders)"),
    ("src/recsketch/sketching/packing.py", "np.sqrt(mean / 12.0)", "np.sqrt(mean / 3.0)"),
    ("src/recsketch/reading/unroll.py", "bool(objects) and fits", "fits"),
    (
        "src/recsketch/reading/unroll.py",
        "self.energy and (whole := self._owed(p, n)) > total:",
        "self.energy and (whole := self._owed(p, n)) >= 0.0:",
    ),
    (
        "src/recsketch/reading/unroll.py",
        "np.hypot(own, self.centred * self.relative.repeat(np.diff(self.begin)))",
        "own",
    ),
    ("src/recsketch/reading/options.py", "    rows[:, 2] &= rows[:, 0] != DENSE\n", ""),
    ("src/recsketch/reading/unroll.py", "min(max(LEAST_SIGNATURE, DEVIATIONS * expected), MOST_SIGNATURE)", "1.0"),
    ("src/recsketch/sparse/_htp.py", "ties[: count - len(above)]", "ties"),
    (
        "src/recsketch/transforms/_fwht.py",
        "a.dtype != dtype or not (a.flags.c_contiguous and a.flags.writeable)",
        "a.dtype != dtype or not a.flags.writeable",
    ),
    ("src/recsketch/repository/graph/linking.py", "            s.verify(at)\n", ""),
    ("src/recsketch/repository/graph/files.py", "graph.node_kinds[i] < graph.MODULE or i == first", "True"),
    ("src/recsketch/populations/changes/relabelling.py", "FLOOR = 1e-8", "FLOOR = 1e-30"),
    ("src/recsketch/populations/changes/relabelling.py", "drawn - 1, end - drawn", "drawn, end - drawn"),
    (
        "src/recsketch/populations/changes/relabelling.py",
        'tied(statistics[:, k]), "left")',
        'tied(statistics[:, k]), "right")',
    ),
]
