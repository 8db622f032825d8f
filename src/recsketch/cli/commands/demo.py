"""The command `demo`."""

from __future__ import annotations

import argparse

from recsketch.cli.files import writing
from recsketch.cli.options import Run, add_json, add_threads, print_json, whole
from recsketch.cli.options import told as told_to
from recsketch.cli.table import command
from recsketch.display.terminal import Style


@command("recsketch demo --html story.html")
def demo(parser: argparse.ArgumentParser) -> Run:
    """Tell in a minute what recsketch does: capture, sketch, search, read back, population, concept. Pages of
    handwritten digits are read, and every number told is measured meanwhile."""
    parser.add_argument("--html", metavar="FILE", help="write the story there too, with pictures")
    parser.add_argument("--repository", metavar="DIR", help="make the repository of pages there, and keep it")
    parser.add_argument("--ocr", action="store_true", help="read a printed page with rapidocr (extra `demo`) instead")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of pages and sketches (default: 0)")
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        if args.ocr:
            if args.repository is not None:
                raise ValueError("--repository: wanted a demo without --ocr; got both")
            _read_page(args)
            return
        # Imported here: the digits and the story concern no other command.
        from recsketch.demo.page import story_page
        from recsketch.demo.story import tell
        from recsketch.demo.text import story_text

        with writing(args.html) as page:
            story = tell(args.repository, seed=args.seed, threads=args.threads)
            if page is not None:
                page.write(story_page(story).encode())
        told = told_to(args.html)
        if args.json:
            print_json(story.figures, told)
        else:
            print(story_text(story, folder=args.repository, style=Style.of(told)), file=told)

    return run


def _read_page(args: argparse.Namespace) -> None:
    from recsketch.demo.ocr import read_page
    from recsketch.demo.ocr_text import ocr_figures, ocr_page, ocr_text

    with writing(args.html) as page:
        try:
            reading = read_page(args.seed, args.threads)
        except ImportError as error:
            raise ValueError(str(error)) from None
        if page is not None:
            page.write(ocr_page(reading).encode())
    told = told_to(args.html)
    if args.json:
        print_json(ocr_figures(reading), told)
    else:
        print(ocr_text(reading, style=Style.of(told)), file=told)
