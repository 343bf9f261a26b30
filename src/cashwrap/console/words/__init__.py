"""The console's texts in other languages: English is what stands in the templates, and the key."""

from functools import cache
from importlib import resources

from babel.messages.pofile import read_po


@cache
def translations(language: str) -> dict[str, str]:
    """From English texts to a language's. A plural is two texts, each with its own."""
    folder, found = resources.files("cashwrap.console.words") / language, dict[str, str]()
    if not folder.is_dir():
        return found
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if not file.name.endswith(".po"):
            continue
        with file.open("rb") as lines:
            for message in read_po(lines):
                texts, told = _several(message.id), _several(message.string)
                found |= {text: said for text, said in zip(texts, told, strict=False) if text and said}
    return found


def later(text: str) -> str:
    """Mark a text that stands in a table and is said later (``ask.say(TEXTS[code])``), so that it is translated."""
    return text


def _several(text: object) -> list[str]:
    """Singular and plural, or the one text there is."""
    return [str(each) for each in text] if isinstance(text, list | tuple) else [str(text or "")]
