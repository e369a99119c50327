"""`ohlora-fast stylegan`: the network that paints the portraits; one file a subcommand, `stylegan_NAME.py`."""

from __future__ import annotations

import argparse
from importlib import import_module

SUBCOMMANDS = ("generate", "walk", "dye", "train-scorer", "score", "finetune", "report")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `stylegan` and its subcommands."""
    text = "train, judge and use the network that paints portraits"
    parser = subparsers.add_parser("stylegan", help=text, description=f"{text[0].upper()}{text[1:]}.")
    nested = parser.add_subparsers(dest="subcommand", metavar="SUBCOMMAND", required=True)
    for name in SUBCOMMANDS:
        import_module(f"ohlora_fast.cli.stylegan_{name.replace('-', '_')}").add_parser(nested)
    for subparser in nested.choices.values():  # as every command has it; this default leaves alone what came before
        subparser.add_argument(
            "--debug", action="store_true", default=argparse.SUPPRESS, help="show the traceback of an error"
        )
