"""`ohlora-fast web`: a page in the browser on which one drops a photo and dyes its hair."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stderr, suppress
from threading import Event

from ohlora_fast.cli.console import complain
from ohlora_fast.cli.options import add_engine_options, count, positive, stylist_from

DESCRIPTION = """\
Serve a page with a before/after slider, three sliders, named colours, natural dyeing, the mask and a download in full
size, until Ctrl-C. It is reached from this machine alone, unless --host says otherwise. Photos are held in memory and
forgotten when their tab is closed; nothing is sent to other servers."""

LOCAL = ("127.0.0.1", "localhost", "::1")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `web` and its options."""
    parser = subparsers.add_parser("web", help="dye hair on a page in the browser", description=DESCRIPTION)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: all (127.0.0.1)")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a host name under which it may be asked, besides this machine's; repeatable",
    )  # fmt: skip
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="0 to 65535; 0: a free one (7860)")
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-megapixels", type=positive, default=50.0, metavar="X", help="refuse larger photos undecoded (50)"
    )
    limits.add_argument("--max-megabytes", type=positive, default=30.0, metavar="X", help="refuse larger files (30)")
    limits.add_argument("--queue", type=count, default=32, metavar="N", help="requests that wait at most (32)")
    limits.add_argument("--visitors", type=count, default=32, metavar="N", help="photos held at most (32)")
    add_engine_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve the page until somebody stops it."""
    from ohlora_fast.web import Limits, serve
    from ohlora_fast.web.log import BoundedLog

    limits = Limits(args.max_megapixels, args.max_megabytes, args.queue, args.visitors)
    if args.host not in LOCAL:
        complain("warning", f"--host {args.host}: whoever reaches this machine can use the page, without a password")
    with (
        redirect_stderr(BoundedLog(sys.stderr)),
        suppress(KeyboardInterrupt),
        serve(args.host, args.port, stylist_from(args), limits, args.allow_host) as url,
    ):
        print(f"{url} (Ctrl-C stops it)", flush=True)
        Event().wait()
    print("stopped; no photo is kept")
    return 0
