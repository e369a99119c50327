"""`ohlora-fast download`: published weights from the Hugging Face hub."""

from __future__ import annotations

import argparse

from ohlora_fast.hub import FILES

DESCRIPTION = """\
Download published weights into the cache of the Hugging Face hub, or find them there, and print their path, size
and SHA-256. What is in the cache is found without a network."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `download` and its option."""
    parser = subparsers.add_parser("download", help="download published weights", description=DESCRIPTION)
    parser.add_argument("name", choices=FILES, metavar="NAME", help=" or ".join(FILES))
    parser.add_argument("--cache-dir", metavar="DIR", help="keep the files here (default: the hub's own cache)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Download, say what came, and return the exit code."""
    from ohlora_fast.hub import fetch

    fetched = fetch(args.name, args.cache_dir)
    note = "as the hub states" if fetched.confirmed else "the hub states none to compare with"
    print(f"path    {fetched.path}\nsize    {fetched.size:,} bytes\nsha256  {fetched.sha256} ({note})")
    return 0
