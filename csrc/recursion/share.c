/* How the traces of a batch are shared out to threads. A trace's cost is taken to be its number of steps. */
#include "recursion/recursion.h"

rsk_sharing rsk_share_out(const rsk_spec *spec, const rsk_plan *plan, int threads) {
    const int most = rsk_parallel_threads(threads, PTRDIFF_MAX, 1);
    rsk_sharing q = {.plan = plan, .shares = rsk_alloc(plan->traces, sizeof *q.shares)};
    if (!q.shares) return q;
    for (ptrdiff_t t = 0; t < plan->traces; t++) q.shares[t] = (rsk_share){(double)plan->count[t], t, 0.0};
    const ptrdiff_t large = most > 1 ? rsk_longest_first(q.shares, plan->traces, most) : 0;
    while (q.split < large && rsk_is_split(spec, plan, q.shares[q.split].item, most)) q.split++;
    q.workers = q.split ? most : rsk_parallel_threads(threads, plan->traces, 1);
    return q;
}

static void task(void *context, int worker, ptrdiff_t begin, ptrdiff_t end) {
    const rsk_sharing *q = context;
    for (ptrdiff_t i = begin; i < end; i++) q->run(q->context, q->shares[q->split + i].item, &q->scratch[worker]);
}

rsk_status rsk_run_shares(rsk_sharing *q) {
    q->scratch->team = q->workers;
    for (ptrdiff_t i = 0; i < q->split && !rsk_stopped(q->stop, 0); i++) q->run(q->context, q->shares[i].item, q->scratch);
    q->scratch->team = 1;
    const ptrdiff_t left = q->plan->traces - q->split;
    if (!left) return rsk_stopped(q->stop, 0) ? RSK_ESTOP : RSK_OK;
    return rsk_parallel_until(q->stop, q->workers, left, 1, task, q);
}
