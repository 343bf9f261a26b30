"""Compile the shop's texts. Django reads only the binary form, and reads it once: do this before it starts."""

import io
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LOCALES = Path(__file__).resolve().parent.parent / "locale"


def compile_texts(target):
    """Write `<target>/<language>/LC_MESSAGES/django.mo` for each language that changed."""
    for source in LOCALES.rglob("django.po"):
        compiled = target / source.relative_to(LOCALES).with_suffix(".mo")
        if compiled.exists() and compiled.stat().st_mtime >= source.stat().st_mtime:
            continue
        compiled.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        write_mo(buffer, read_po(io.BytesIO(source.read_bytes()), locale=source.parts[-3]))
        compiled.write_bytes(buffer.getvalue())
