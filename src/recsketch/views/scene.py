"""A run that is drawn together with what another run says of it: one DAG, in which both stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from recsketch.views.drawn import Beside, Drawing

OUTPUTS = -1  # the owner of a network's outputs


class Only(NamedTuple):
    """An object that the other run alone has."""

    module: str
    attribute: Any


class Scene(NamedTuple):
    """Objects, the members of each tuple as numbers and shares, the outputs' under OUTPUTS, and what is said of them.

    `marks` and `theirs` are by object: a kind with a text, and the attribute of the other run's object.
    """

    objects: Sequence[Any]
    members: Mapping[int, Sequence[tuple[int, float]]]
    more: Mapping[int, Sequence[str]]
    marks: Mapping[int, tuple[str, str]]
    theirs: Mapping[int, Any]
    words: Mapping[str, str]
    name: str

    def of(self, owner: int) -> Sequence[tuple[int, float]]:
        """The members of a tuple."""
        return self.members.get(owner, ())

    def kind(self, number: int) -> str:
        """What an object is marked as; empty if it is not."""
        return self.marks.get(number, ("", ""))[0]


def scene(drawing: Drawing, beside: Beside | None = None) -> Scene:
    """The objects of one drawing, and behind them those that the other run alone has, each below what stands for its
    user."""
    objects = list(drawing.objects)
    members = {i: drawing.inputs(i) for i, o in enumerate(objects) if o.inputs}
    members[OUTPUTS] = drawing.members(drawing.outputs, drawing.weights)
    if beside is None:
        return Scene(objects, members, drawing.more, {}, {}, {}, "")
    other, marks = beside.other, dict(beside.marks)
    here = {j: i for i, j in reversed(list(beside.pairs.items()))}  # of two that stand for one, the first
    ours = dict(here)
    for j in sorted(beside.gone):
        ours[j] = len(objects)
        marks[ours[j]] = beside.gone[j]
        objects.append(Only(other.objects[j].module, other.objects[j].attribute))
    # What is gone hangs below its user. Below it hangs only what is gone, too: so no cycle can come of two orders.
    for owner in [OUTPUTS, *range(len(other.objects))]:
        at = OUTPUTS if owner == OUTPUTS else ours.get(owner)
        if at is None:
            continue
        used = other.members(other.outputs, other.weights) if owner == OUTPUTS else other.inputs(owner)
        found = [(ours[j], share) for j, share in used if j in beside.gone]
        if found:
            members[at] = [*members.get(at, ()), *found]
    return Scene(objects, members, drawing.more, marks, beside.theirs, beside.words, beside.name)
