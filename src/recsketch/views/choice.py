"""Which objects of a run are drawn, and in which boxes: a card an object, a tray for siblings that nothing feeds."""

from __future__ import annotations

from typing import NamedTuple

from recsketch.views.scene import OUTPUTS, Scene

DRAWN = 240  # objects in one drawing
LEVELS = 24  # of objects, from the outputs down
TRAY = 4  # so many siblings of one module that nothing feeds share a tray


class Box(NamedTuple):
    """One box: its objects, none where it only says a text; `owners` are the numbers whose inputs they are."""

    numbers: tuple[int, ...]
    owners: tuple[int, ...]
    text: str = ""
    tray: bool = False


class Choice(NamedTuple):
    """Boxes, users first, how many objects of how many they show, and whether it was levels that ended."""

    boxes: list[Box]
    drawn: int
    reached: int
    deep: bool


def choice(scene: Scene, most: int = DRAWN, levels: int = LEVELS) -> Choice:
    """From the outputs down, level by level, as long as there is room for so many objects.

    Where there is not, every tuple of a level gets the same room. In it marked objects come first, with what leads to
    them, then heavy ones. An object that several use is drawn once.
    """
    users = _users(scene)
    leads = _leading(scene, users)
    drawn: dict[int, None] = {}
    level = [OUTPUTS]
    for _ in range(levels):
        new: dict[int, list[int]] = {}
        seen: set[int] = set()
        for owner in level:
            fresh = [i for i in dict.fromkeys(i for i, _ in scene.of(owner)) if i not in drawn and i not in seen]
            seen.update(fresh)
            if fresh:
                new[owner] = fresh
        rooms = _rooms([len(fresh) for fresh in new.values()], most - len(drawn))
        level = []
        for (owner, fresh), room in zip(new.items(), rooms, strict=True):
            heavy: dict[int, float] = {}
            for i, share in scene.of(owner):
                heavy[i] = heavy.get(i, 0.0) + share
            first = set(sorted(fresh, key=lambda i: (i not in leads, -heavy[i]))[:room])
            level += [i for i in fresh if i in first]
        drawn.update(dict.fromkeys(level))
        if not level:
            break
    deep = any(i not in drawn for owner in level for i, _ in scene.of(owner))
    return Choice(_boxes(scene, list(drawn), users), len(drawn), len(users), deep)


def _users(scene: Scene) -> dict[int, list[int]]:
    """Of every object that reaches an output, who uses it, each user once."""
    users: dict[int, list[int]] = {}
    waiting = [OUTPUTS]
    for owner in waiting:  # which grows
        for i in dict.fromkeys(i for i, _ in scene.of(owner)):
            if i not in users:
                users[i] = []
                waiting.append(i)
            users[i].append(owner)
    return users


def _leading(scene: Scene, users: dict[int, list[int]]) -> set[int]:
    """Objects that are marked, and those that lead to them."""
    found: set[int] = set()
    waiting = [i for i in scene.marks if i in users]
    while waiting:
        i = waiting.pop()
        if i != OUTPUTS and i not in found:
            found.add(i)
            waiting += users[i]
    return found


def _rooms(wants: list[int], left: int) -> list[int]:
    """So much room among so many wants that no one gets more than another who wants more."""
    rooms = [0] * len(wants)
    order = sorted(range(len(wants)), key=lambda k: wants[k])
    for at, k in enumerate(order):
        rooms[k] = min(wants[k], -(-left // (len(order) - at)))
        left -= rooms[k]
    return rooms


def _boxes(scene: Scene, drawn: list[int], users: dict[int, list[int]]) -> list[Box]:
    here = set(drawn) | {OUTPUTS}
    trays: dict[object, list[int]] = {}
    for i in drawn:
        owners = tuple(u for u in users[i] if u in here)
        alone = scene.of(i) or scene.more.get(i)
        key = i if alone else (owners, scene.objects[i].module, scene.objects[i].attribute.size)
        trays.setdefault(key, []).append(i)
    boxes: list[Box] = []
    for numbers in trays.values():
        owners = tuple(u for u in users[numbers[0]] if u in here)
        if len(numbers) >= TRAY:
            boxes.append(Box(tuple(numbers), owners, tray=True))
        else:
            boxes += [Box((i,), owners) for i in numbers]
    for owner in [OUTPUTS, *drawn]:
        left = [i for i in dict.fromkeys(i for i, _ in scene.of(owner)) if i not in here]
        if left:
            modules = {scene.objects[i].module for i in left}
            what = modules.pop() if len(modules) == 1 else "objects"
            boxes.append(Box((), (owner,), f"{len(left)} more {what}"))
        boxes += [Box((), (owner,), text) for text in scene.more.get(owner, ())]
    return boxes
