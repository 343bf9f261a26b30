#!/usr/bin/env python3
"""Start the demo shop: migrate, seed (both only when needed), serve on loopback.

    CASHWRAP_PUBLISHABLE_KEY=cwp_... CASHWRAP_SECRET_KEY=cws_... \
        python shop/run.py --port 8000 --data .data/shop --engine http://127.0.0.1:8377

Keys may be given as options too, but every user of the machine can read those. Without --engine the shop runs without
cashwrap, as it would if cashwrap went away.
"""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000, help="0 picks a free one")
    parser.add_argument("--engine", default="", metavar="URL", help="where cashwrap listens")
    given = {name: os.environ.get(f"CASHWRAP_{name}_KEY", "") for name in ("PUBLISHABLE", "SECRET")}
    parser.add_argument("--publishable", default=given["PUBLISHABLE"], metavar="KEY", help="for the browser")
    parser.add_argument("--secret", default=given["SECRET"], metavar="KEY", help="for the shop's backend")
    parser.add_argument("--data", type=Path, default=HERE.parent / ".data" / "shop", metavar="DIR")
    parser.add_argument("--setup-only", action="store_true", help="migrate and seed, then exit")
    return parser.parse_args()


def prepare(args):
    """Hand the settings over, then bring database, catalogue and search index up to date."""
    os.environ.update(
        DJANGO_SETTINGS_MODULE="config.settings",
        SHOP_DATA=str(args.data.resolve()),
        CASHWRAP_URL=args.engine,
        CASHWRAP_PUBLISHABLE_KEY=args.publishable,
        CASHWRAP_SECRET_KEY=args.secret,
    )
    pinned = HERE.parent / "sdk" / "lib" / "integrity.json"
    if pinned.exists():  # a shop of its own writes the hash of the version it tested into its settings
        hashes = json.loads(pinned.read_text(encoding="utf-8"))
        os.environ.setdefault("CASHWRAP_SDK_INTEGRITY", hashes["cashwrap.min.js"])
    # Known and harmless: an old literal in Whoosh, and a feature of haystack this shop does not use.
    warnings.filterwarnings("ignore", message='"is" with')
    warnings.filterwarnings("ignore", message="Whoosh does not handle")
    sys.path.insert(0, str(HERE))
    import django  # noqa: PLC0415 - Django reads its settings when imported
    from django.core.management import call_command  # noqa: PLC0415
    from seed.texts import compile_texts  # noqa: PLC0415

    compile_texts(args.data / "locale")
    django.setup()
    from storefront.tables import bring_up_to_date  # noqa: PLC0415 - needs the models

    bring_up_to_date()
    call_command("seed")


def serve(port):
    import waitress  # noqa: PLC0415 - after the set-up, so that --setup-only needs no server
    from config.wsgi import application  # noqa: PLC0415
    from storefront import events, offers  # noqa: PLC0415

    events.start_delivery(offers.expire)
    server = waitress.create_server(application, host="127.0.0.1", port=port, threads=16, ident="")
    print(f"shop ready at http://127.0.0.1:{server.effective_port}/", flush=True)
    server.run()


if __name__ == "__main__":
    options = arguments()
    prepare(options)
    if not options.setup_only:
        serve(options.port)
