"""Which objects of two runs stand for each other: the alignment behind `diff`."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np

import recsketch.reading.side as known
from recsketch.reading.side import ROOT, SURE, Doubles, Member, Side

Pair: TypeAlias = "tuple[int, int]"

LARGEST = 4_000_000  # pairs of members that are compared one by one
# Of fingerprints, whose distance is 0 to 1, 0.7 for two objects that share nothing: the most at which two subtrees are
# looked at whether they are the same, and at which an object was moved, two thirds of what is below it being alike.
ALIKE, NEAR = 0.2, 0.3


class Matching:
    """The pairs of objects of two runs that stand for each other.

    Attributes
    ----------
    pairs : dict from (int, int) to (Member, Member)
        Pairs of objects, and the uses by which they were found first.
    moved : dict of the same form
        Those of `pairs` whose first object stands elsewhere in the second run, not only because one above it does.
    removed, added : list of Member
        Uses that have no counterpart, by owners that have one.
    reweighted : list of (Member, Member)
        Uses that stand for each other with another weight, and their shares among the members that both tuples have.
    """

    def __init__(self, a: Side, b: Side, tolerance: float) -> None:
        self.a, self.b, self.tolerance = a, b, tolerance
        scales = known.scales(a, b)
        self.prints = known.fingerprints(a, scales), known.fingerprints(b, scales)
        self.slacks = known.slacks(a, scales, tolerance), known.slacks(b, scales, tolerance)
        self.kinds = known.kinds(a, b)
        self.doubts = [known.doubts(side, scales) for side in (a, b)]
        self._known: dict[Pair, bool] = {}
        self.pairs: dict[Pair, tuple[Member, Member]] = {}
        self.paired: tuple[set[int], set[int]] = set(), set()
        self.moved: dict[Pair, tuple[Member, Member]] = {}
        self.removed: list[Member] = []
        self.added: list[Member] = []
        self.reweighted: list[tuple[Member, Member]] = []
        self._follow((ROOT, ROOT))
        self._find_moves()

    # ---------------------------------------------------------------- what is the same

    def distance(self, i: int, j: int) -> float:
        """Of two attributes, |x - y|; elements that are NaN in one of them are not known and do not count."""
        return float(np.linalg.norm(np.nan_to_num(self.a.attributes[i] - self.b.attributes[j])))

    def cosine(self, i: int, j: int) -> float:
        """Of two attributes, over the elements known of both; NaN where one is zero."""
        x, y = self.a.attributes[i], self.b.attributes[j]
        both = np.isfinite(x) & np.isfinite(y)
        sizes = float(np.linalg.norm(x[both])) * float(np.linalg.norm(y[both]))
        return float(x[both] @ y[both]) / sizes if sizes > 0 else math.nan

    def allowed(self, i: int, j: int) -> float:
        """The largest such distance that is no change."""
        relative = self.tolerance * max(self.a.norms[i], self.b.norms[j])
        return max(relative, SURE * math.hypot(self.a.errors[i], self.b.errors[j]))

    def _own(self, i: int, j: int) -> bool:
        """Whether module and attribute are the same."""
        return self.a.form(i) == self.b.form(j) and self.distance(i, j) <= self.allowed(i, j)

    def _level(self, p: Member, q: Member) -> bool:
        """Whether two shares are the same. Each follows from its own counter and the tuple's, both off by the doubt of
        the tuple; a spread share w comes from ½ w + ½ / k, so that 1 / k counts beside w."""
        off = self.tolerance * max(p.share, q.share)
        for side, use, doubts in zip((self.a, self.b), (p, q), self.doubts, strict=True):
            off += SURE * doubts[use.owner] * (use.share + 1 / len(side.used[use.owner]))
        return abs(p.share - q.share) <= off

    def same(self, i: int, j: int) -> bool:
        """Whether two objects are the same with all below them.

        What is found is kept by kind: copies are compared once.
        """
        key = self.kinds[0][i], self.kinds[1][j]
        above: dict[Pair, Pair | None] = {}
        todo: list[tuple[Pair, int, int, Pair | None]] = [(key, i, j, None)]
        while todo:
            now, p, q, user = todo.pop()
            if now[0] == now[1] or now in above or self._known.get(now):
                continue
            above[now] = user
            left, right = self.a.used[p], self.b.used[q]
            if now in self._known or not self._own(p, q) or len(left) != len(right):
                return self._differs(now, above)
            for x, y in zip(left, right, strict=True):
                if not self._level(x, y):
                    return self._differs(now, above)
                todo.append(((self.kinds[0][x.number], self.kinds[1][y.number]), x.number, y.number, now))
        self._known.update(dict.fromkeys(above, True))
        return True

    def _differs(self, key: Pair | None, above: dict[Pair, Pair | None]) -> bool:
        while key is not None:
            self._known[key] = False
            key = above[key]
        return False

    # ---------------------------------------------------------------- alignment from the outputs down

    def _follow(self, pair: Pair) -> None:
        """Aligns the inputs of a pair, and of all pairs that this brings."""
        stack = [pair]
        while stack:
            i, j = stack.pop()
            left, right = self.a.used[i], self.b.used[j]
            found = list(self._align(left, right))
            ours, theirs = (sum(p[side].share for p in found) for side in (0, 1))
            new: list[Pair] = []
            for p, q in found:
                level = p._replace(share=p.share / ours), q._replace(share=q.share / theirs)
                if not self._level(*level):
                    self.reweighted.append(level)
                if (p.number, q.number) not in self.pairs:
                    self._pair(p, q)
                    new.append((p.number, q.number))
            stack += reversed(new)  # so that pairs are found in the order of their places
            kept = {p.position for p, _ in found}, {q.position for _, q in found}
            self.removed += [p for p in left if p.position not in kept[0]]
            self.added += [q for q in right if q.position not in kept[1]]

    def _pair(self, p: Member, q: Member) -> None:
        self.pairs[p.number, q.number] = p, q
        self.paired[0].add(p.number)
        self.paired[1].add(q.number)

    def _align(self, left: list[Member], right: list[Member]) -> Iterator[tuple[Member, Member]]:
        """Pairs of members in order, those that are the same at both ends first: most runs differ in few places."""
        least = min(len(left), len(right))
        head = tail = 0
        while head < least and self.same(left[head].number, right[head].number):
            head += 1
        while tail < least - head and self.same(left[-1 - tail].number, right[-1 - tail].number):
            tail += 1
        yield from zip(left[:head], right[:head], strict=True)
        yield from self._between(left[head : len(left) - tail], right[head : len(right) - tail])
        yield from zip(left[len(left) - tail :], right[len(right) - tail :], strict=True)

    def _between(self, left: list[Member], right: list[Member]) -> Iterator[tuple[Member, Member]]:
        """As `_cheapest`, for stretches of any length: long ones are split at members that occur once on each side, and
        what is still long into pieces."""
        if len(left) * len(right) <= LARGEST:
            yield from self._cheapest(left, right)
            return
        at = 0, 0
        for i, j in [*self._anchors(left, right), (len(left), len(right))]:
            ours, theirs = left[at[0] : i], right[at[1] : j]
            pieces = math.isqrt(len(ours) * len(theirs) // LARGEST) + 1
            for k in range(pieces):
                one, two = (slice(len(x) * k // pieces, len(x) * (k + 1) // pieces) for x in (ours, theirs))
                yield from self._cheapest(ours[one], theirs[two])
            if i < len(left):
                yield left[i], right[j]
            at = i + 1, j + 1

    def _anchors(self, left: list[Member], right: list[Member]) -> list[Pair]:
        """The longest increasing sequence of places of what occurs once on each side ("patience" alignment)."""
        ours, theirs = [self.kinds[0][m.number] for m in left], [self.kinds[1][m.number] for m in right]
        once = {k for k, n in Counter(ours).items() if n == 1} & {k for k, n in Counter(theirs).items() if n == 1}
        where = {k: j for j, k in enumerate(theirs) if k in once}
        ends: list[int] = []  # of sequences of each length: the least last place on the right
        last: list[int] = []  # and where that is on the left
        before: dict[int, int] = {}
        for i, k in enumerate(ours):
            if k in once:
                length = bisect_left(ends, where[k])
                before[i] = last[length - 1] if length else -1
                ends[length : length + 1], last[length : length + 1] = [where[k]], [i]
        out: list[Pair] = []
        at = last[-1] if last else -1
        while at >= 0:
            out.append((at, where[ours[at]]))
            at = before[at]
        return out[::-1]

    def _cheapest(self, left: list[Member], right: list[Member]) -> Iterator[tuple[Member, Member]]:
        """The pairing in order of least cost: 1 for a member without a partner, `_costs` for a pair."""
        if not left or not right:
            return
        costs = self._costs([m.number for m in left], [m.number for m in right])
        n, m = costs.shape
        steps = np.arange(m + 1.0)
        row, moves = steps, np.zeros((n, m), np.int8)
        for i in range(n):
            pair, skip = row[:-1] + costs[i], row[1:] + 1
            best = np.append(i + 1.0, np.minimum(pair, skip))
            row = np.minimum.accumulate(best - steps) + steps  # or a member of `right` alone, after any before it
            moves[i] = np.where(row[1:] < best[1:] - 1e-9, 2, np.where(pair <= skip, 0, 1))
        found = []
        while n and m:
            move = moves[n - 1, m - 1]
            if move == 0:
                found.append((left[n - 1], right[m - 1]))
            n, m = n - (move != 2), m - (move != 1)
        yield from reversed(found)

    def _costs(self, ours: list[int], theirs: list[int]) -> Doubles:
        """Of pairs: about 0 for what is the same, infinite for two modules. Otherwise 1 to 1.4 where the first has no
        inputs: another attribute in one place is a change. Up to 1.95 where it has: of two subtrees that share nothing
        one was removed and the other added, rather than everything in it changed."""
        apart = known.apart(self.prints[0][ours], self.prints[1][theirs])
        costs = np.full(apart.shape, np.inf)
        slack = self.slacks[1][theirs]
        rows, columns = self.a.forms(ours), self.b.forms(theirs)
        for form in rows.keys() & columns.keys():
            at, attributes = columns[form], np.stack([self.b.attributes[theirs[k]] for k in columns[form]])
            reach = np.array([self.tolerance * self.b.norms[theirs[k]] + SURE * self.b.errors[theirs[k]] for k in at])
            for row in rows[form]:
                i = ours[row]
                costs[row, at] = 1 + np.minimum((1.8 if self.a.used[i] else 0.5) * apart[row, at], 0.95)
                near = np.flatnonzero(apart[row, at] <= np.minimum(ALIKE, self.slacks[0][i] + slack[at]))
                off = np.linalg.norm(np.nan_to_num(attributes[near] - self.a.attributes[i]), axis=1)
                near = near[off <= self.tolerance * self.a.norms[i] + SURE * self.a.errors[i] + reach[near]]
                same = at[[k for k in near.tolist() if self.same(i, theirs[at[k]])]]
                costs[row, same] = 0.1 * apart[row, same]
        return costs

    # ---------------------------------------------------------------- what was moved

    def _find_moves(self) -> None:
        """Pairs what is left over on both sides and alike, the largest subtrees first."""
        open_a, open_b = _Open(self.a, self.removed, self.paired[0]), _Open(self.b, self.added, self.paired[1])
        groups: dict[tuple[str, int], list[Member]] = {}
        for q in open_b.uses:
            groups.setdefault(self.b.form(q.number), []).append(q)
        prints = {form: self.prints[1][[q.number for q in group]] for form, group in groups.items()}
        sizes = known.sizes(self.a)
        gone: list[set[Pair]] = [set(), set()]  # uses that moved, by owner and position
        for p in sorted(open_a.uses, key=lambda p: -sizes[p.number]):
            form = self.a.form(p.number)
            while form in groups and p in open_a:
                cosines = prints[form] @ self.prints[0][p.number]
                at = int(np.argmax(cosines))
                q = groups[form][at]
                if 0.5 - cosines[at] / 2 > NEAR**2:
                    break
                if q in open_b and not self._own(p.number, q.number):
                    break
                prints[form][at] = 0  # nothing is near that
                if q in open_b:
                    gone[0].add((p.owner, p.position))
                    gone[1].add((q.owner, q.position))
                    self.moved[p.number, q.number] = p, q
                    if (p.number, q.number) not in self.pairs:
                        self._pair(p, q)
                        self._follow((p.number, q.number))
                    break
        self.removed = [use for use in self.removed if (use.owner, use.position) not in gone[0]]
        self.added = [use for use in self.added if (use.owner, use.position) not in gone[1]]


class _Open:
    """Uses of one run that have no counterpart: those that were `lost`, and the first ones of unpaired objects."""

    def __init__(self, side: Side, lost: list[Member], paired: set[int]) -> None:
        self.paired, self.lost = paired, set(lost)
        alone = {use.number for use in lost}
        self.uses = [*lost, *(use for i, use in side.first.items() if i not in paired and i not in alone)]

    def __contains__(self, use: Member) -> bool:
        return use in self.lost or use.number not in self.paired
