"""What could not be captured, one record each."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunError:
    """Something that is not among the runs, and why.

    Attributes
    ----------
    run_id : str or None
        The run that is left out, or that lacks what the message says; None where it is not known.
    file : str or None
        Where it was read, if from a file.
    row : int or None
        The line of the file, from 1; or, where dicts were given, the number of the dict, from 0.
    stage : str
        What failed: each adapter lists its stages.
    message : str
        What was wanted and what came.

    Examples
    --------
    >>> print(RunError("17", "a.jsonl", 3, "span", "name: wanted a text; got 5 (int)"))
    a.jsonl:3: run 17: span: name: wanted a text; got 5 (int)
    """

    run_id: str | None
    file: str | None
    row: int | None
    stage: str
    message: str

    def __str__(self) -> str:
        place = ":".join(str(x) for x in (self.file, self.row) if x is not None)
        run = f"run {self.run_id}" if self.run_id is not None else ""
        return ": ".join(x for x in (place, run, self.stage, self.message) if x)
