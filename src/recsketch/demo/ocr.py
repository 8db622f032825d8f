"""A page read by a reader that others made: rapidocr finds lines and reads characters, and recsketch keeps what it did.

A run is page -> paragraphs -> lines -> characters. A character's vector is what the reader's last layer sees of it, so
that the same layer can read what comes back from the sketch: words out of a vector, and not the picture.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from recsketch._check import Floats
from recsketch.capture.onnx import OnnxRecorder
from recsketch.runs.trace import Trace
from recsketch.sketcher import Sketcher
from recsketch.sketching.packing import pack
from recsketch.sketching.spec import SketchSpec

Image = npt.NDArray[np.uint8]

WIDE, MARGIN, SIZE, STEP = 440, 40, 26, 38  # pixels: of a page, around it, of letters, from line to line
TALL = 48  # pixels of a line, as the reader takes it
GAP = 1.6  # of a line's height: lines that are further apart belong to different paragraphs
PAGES = (
    (
        ("Invoice 2024-117", "Date: 3 March"),
        ("2 lamps, brass 48.00", "1 desk, oak 310.50", "Delivery 25.00"),
        ("Total due 383.50",),
    ),
    (
        ("Minutes of the meeting", "Thursday, room 4"),
        ("The budget was approved.", "Nobody voted against it."),
        ("Next meeting: 12 June",),
    ),
    (
        ("Dear Ms Hopper,", "thank you for the moth."),
        ("We have kept it in the book", "and fixed the relay."),
        ("Yours, the Mark II crew",),
    ),
)
"""Paragraphs of lines. The first two pages choose the specification; the last one is what the demo shows."""


@dataclass(frozen=True)
class Reading:
    """A page, what the reader did with it, and what its sketch gave back.

    Attributes
    ----------
    image : (height, width, 3) uint8
    truth : list of list of str
        Lines of paragraphs, as printed.
    read, recovered : list of list of str
        The same as the reader read them, and read from the sketch.
    trace : Trace
    unrolled : Unrolled
    letter : callable
        What the reader's last layer reads in a character's vector.
    dim, count, whole : int, int, bool
        The sketch's length; objects of the run; whether the run came back whole.
    """

    image: Image
    truth: list[list[str]]
    read: list[list[str]]
    recovered: list[list[str]]
    trace: Trace
    unrolled: Any
    letter: Callable[[Floats], str]
    dim: int
    count: int
    whole: bool


def read_page(seed: int = 0, threads: int | None = None) -> Reading:
    """Print pages, read them, sketch what the reader did, and read the last page from its sketch.

    Raises
    ------
    ImportError
        Without rapidocr, of ``pip install 'recsketch[demo]'``.
    """
    reader = _Reader()
    images = [printed(page) for page in PAGES]
    runs = [reader(image) for image in images]
    spec = SketchSpec.fitted([run for run, _ in runs[:-1]], seed=seed)
    trace, read = runs[-1]
    sketcher = Sketcher(spec, threads=threads)
    found = sketcher.unroll(pack(sketcher.sketch([trace]), "float16"))[0]
    return Reading(
        image=images[-1],
        truth=[list(paragraph) for paragraph in PAGES[-1]],
        read=read,
        recovered=reader.words(found),
        trace=trace,
        unrolled=found,
        letter=lambda x: reader.letters(x[None])[0],
        dim=spec.dim,
        count=len(trace.objects),
        whole=found.complete and len(found.objects) == len(trace.objects),
    )


def printed(page: Sequence[Sequence[str]]) -> Image:
    """Black letters on white, (height, width, 3)."""
    from PIL import Image as Pillow
    from PIL import ImageDraw, ImageFont

    height = 2 * MARGIN + STEP * (sum(map(len, page)) + len(page) - 1)
    picture = Pillow.new("RGB", (WIDE, height), "white")
    draw, font, top = ImageDraw.Draw(picture), ImageFont.load_default(SIZE), MARGIN
    for paragraph in page:
        for line in paragraph:
            draw.text((MARGIN, top), line, fill="black", font=font)
            top += STEP
        top += STEP
    return np.asarray(picture)


class _Reader:
    """Finds lines, and reads them with a recogniser whose last layer's input is recorded."""

    def __init__(self) -> None:
        try:
            import onnx
            import rapidocr
        except ImportError:
            raise ImportError("demo --ocr: wanted rapidocr, of pip install 'recsketch[demo]'; got none") from None
        import logging

        logging.getLogger("RapidOCR").setLevel(logging.WARNING)
        self._finder = rapidocr.RapidOCR(params={"Global.log_level": "warning"})
        folder = os.path.join(os.path.dirname(rapidocr.__file__), "models")
        name = next(n for n in sorted(os.listdir(folder)) if n.endswith(".onnx") and "_rec_" in n)
        model = onnx.load(os.path.join(folder, name))
        last = [node for node in model.graph.node if node.op_type == "MatMul"][-1]
        bias = next(node for node in model.graph.node if node.op_type == "Add" and last.output[0] in node.input)
        weights = {w.name: onnx.numpy_helper.to_array(w) for w in model.graph.initializer}
        self._weights, self._bias = weights[last.input[1]], weights[bias.input[1]]
        letters = next(p.value for p in model.metadata_props if p.key == "character").splitlines()
        self._letters = ["", *letters, " "]  # the first is the blank between characters
        self._input = model.graph.input[0].name
        self._recorder = OnnxRecorder(model, {last.input[0]: "steps"}, reduce="flatten")

    def letters(self, features: Floats) -> list[str]:
        """What the last layer reads in rows of what it sees."""
        return [self._letters[k] for k in np.argmax(features @ self._weights + self._bias, axis=1)]

    def __call__(self, image: Image) -> tuple[Trace, list[list[str]]]:
        """The run of a page, and its lines by paragraphs."""
        boxes = np.array(self._finder(image, use_cls=False, use_rec=False).boxes)
        low, high = boxes.min(axis=1), boxes.max(axis=1)
        order = np.argsort(low[:, 1])
        run = Trace()
        words: list[list[str]] = []
        paragraphs: list[int] = []
        lines: list[tuple[int, Any]] = []
        bottom = None
        for k in order.tolist():
            (x0, y0), (x1, y1) = low[k], high[k]
            if bottom is not None and y0 - bottom > (GAP - 1) * (y1 - y0):
                paragraphs.append(self._paragraph(run, lines))
                lines, bottom = [], None
            if not lines:
                words.append([])
            features = self._features(image[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1])
            words[-1].append("".join(self.letters(features)))
            characters = [run.add("char", row) for row in features]
            shape = np.array([x0, y0, x1, y1]) / image.shape[1]
            lines.append((run.add("line", shape, inputs=characters), shape))
            bottom = y1
        paragraphs.append(self._paragraph(run, lines))
        run.outputs([run.add("page", np.array(image.shape[:2]) / WIDE, inputs=paragraphs)])
        return run, words

    def _paragraph(self, run: Trace, lines: list[tuple[int, Any]]) -> int:
        shapes = np.array([shape for _, shape in lines])
        box = np.concatenate([shapes[:, :2].min(axis=0), shapes[:, 2:].max(axis=0)])
        return run.add("paragraph", box, inputs=[line for line, _ in lines])

    def _features(self, crop: Image) -> Floats:
        """(characters, length) What the last layer sees where a character begins."""
        from PIL import Image as Pillow

        width = max(TALL, round(TALL * crop.shape[1] / crop.shape[0]))
        scaled = np.asarray(Pillow.fromarray(crop).resize((width, TALL), Pillow.Resampling.BILINEAR), np.float32)
        x = (scaled[:, :, ::-1] / 127.5 - 1).transpose(2, 0, 1)[None]  # blue, green, red
        self._recorder.run({self._input: np.ascontiguousarray(x)})
        steps = np.asarray(self._recorder.traces()[-1].objects[0].attribute).reshape(-1, len(self._weights))
        best = np.argmax(steps @ self._weights + self._bias, axis=1)
        begins = (best > 0) & (best != np.append(0, best[:-1]))
        return np.ascontiguousarray(steps[begins])

    def words(self, run: Any) -> list[list[str]]:
        """Lines of paragraphs, read from what a sketch gave back."""
        found: list[list[str]] = []
        for paragraph in (p for page in run.outputs for p in run.objects[page].inputs):
            found.append([])
            for line in run.objects[paragraph].inputs:
                characters = [run.objects[c].attribute for c in run.objects[line].inputs]
                found[-1].append("".join(self.letters(np.array(characters))) if characters else "")
        return found
