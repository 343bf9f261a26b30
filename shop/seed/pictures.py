"""Draw the catalogue: one flat SVG per product, from `shapes.txt` and a small palette.

Deterministic, so that pictures are made at seed time and never committed.
"""

import re
from pathlib import Path

# main, dark, light, background; warm earth colours that sit well beside each other
PALETTE = {
    "clay": ("#c4684a", "#9c4c33", "#e2a68d", "#f7e9e0"),
    "sage": ("#7d9a7e", "#597559", "#b3c8b1", "#eaf0e6"),
    "sand": ("#d9bd94", "#b5935f", "#eedcc0", "#f6efe3"),
    "ink": ("#44505f", "#2c3643", "#8593a5", "#e7ebf0"),
    "plum": ("#8a5a78", "#663d57", "#c29bb4", "#f2e7ee"),
    "sky": ("#6f9ab8", "#4a738f", "#b0cddf", "#e6f0f5"),
    "ochre": ("#d39a3c", "#a87322", "#edcb8c", "#faf0dc"),
}
# wood, cream, ink, steel, glass, orange, green: the same in every picture
SHARED = {
    "w": "#b98a5a",
    "c": "#fffaf2",
    "k": "#343a42",
    "s": "#b9c0c6",
    "g": "#cfe0e2",
    "o": "#e8823a",
    "v": "#6c9a6a",
}


def load_shapes(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if line and not line.startswith("#"))


def draw(shape, colour):
    """Return one picture as SVG text."""
    main, dark, light, background = PALETTE[colour]
    paint = {**SHARED, "m": main, "d": dark, "l": light}
    body = re.sub(r'(fill|stroke)="([a-z])"', lambda m: f'{m[1]}="{paint[m[2]]}"', shape)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" width="800" height="800">'
        f'<rect width="400" height="400" fill="{background}"/>'
        f'<circle cx="200" cy="196" r="150" fill="#fff" opacity=".55"/>'
        f'<ellipse cx="200" cy="324" rx="128" ry="13" fill="{dark}" opacity=".18"/>'
        f"{body}</svg>\n"
    )


def draw_all(products, folder):
    """Write `<id>.svg` for each product of the seed file."""
    folder.mkdir(parents=True, exist_ok=True)
    shapes = load_shapes(Path(__file__).with_name("shapes.txt"))
    for product in products:
        picture = draw(shapes[product["shape"]], product["colour"])
        (folder / f"{product['id'].lower()}.svg").write_text(picture, encoding="utf-8")
