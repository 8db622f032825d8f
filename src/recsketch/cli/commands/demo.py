"""The command `demo`."""

from __future__ import annotations

import argparse
import sys

from recsketch.cli.files import writing
from recsketch.cli.options import Run, add_json, add_threads, print_json, whole
from recsketch.cli.options import told as told_to
from recsketch.cli.table import command
from recsketch.display.terminal import Style


@command("recsketch demo --pages 3")
def demo(parser: argparse.ArgumentParser) -> Run:
    """Read pages of handwritten digits with a small modular network and show what sketches of its runs know."""
    parser.add_argument(
        "--pages", type=whole(2), metavar="N", help="how many pages (default: 300, or 1000 for a repository)"
    )
    parser.add_argument(
        "--repository", metavar="DIR", help="keep the runs there, find them again, and see kinds of pages emerge"
    )
    parser.add_argument("--ocr", action="store_true", help="read a printed page with rapidocr (extra `demo`) instead")
    parser.add_argument("--html", metavar="FILE", help="with --ocr: write the page beside what came back")
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="of pages and sketches (default: 0)")
    add_threads(parser)
    add_json(parser)

    def run(args: argparse.Namespace) -> None:
        if args.html is not None and not args.ocr:
            raise ValueError("--html: wanted --ocr with it; got none")
        if args.ocr:
            _read_page(args)
            return
        # Imported here: the digits and the demo's figures concern no other command.
        if args.repository is not None:
            from recsketch.demo.repository import run_repository
            from recsketch.demo.repository_text import repository_text

            kept, found = run_repository(args.repository, args.pages or 1000, seed=args.seed, threads=args.threads)
            if args.json:
                print_json(kept)
            else:
                print(repository_text(kept, found, style=Style.of(sys.stdout)))
            return
        from recsketch.demo.run import run_demo
        from recsketch.demo.text import demo_text

        figures, example = run_demo(args.pages or 300, seed=args.seed, threads=args.threads)
        if args.json:
            print_json(figures)
        else:
            print(demo_text(figures, example, style=Style.of(sys.stdout)))

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
