"""Write `src/conductor/web/world.json`, the map of the search page: for each country its name and its shape.

    tools/world.py            fetch the two packages below with npm, write the file
    tools/world.py --check    the same, but write nothing and exit 1 when the file is another

Shapes are Natural Earth's (public domain), 1:110 million, from the npm package world-atlas (ISC); codes (ISO 3166-1)
and English names from the npm package i18n-iso-countries (MIT). What lies between is here: Robinson's projection, whole
units, borders simplified once for both sides, and a point in the middle of what is too small to be seen as a shape.

Borders are as Natural Earth draws them, codes as ISO gives them; neither is an opinion of ours. An area that Natural
Earth draws by itself and ISO counts as a part of a country is drawn as a part of it (OF_ANOTHER), and the other way
round (PARTS_OF).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import hypot, radians
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "src" / "conductor" / "web" / "world.json"
PACKAGES = {  # npm's name and version → SHA-256 of its archive
    "world-atlas@2.0.2": "032e7765f2ce00edaeafec23ff22bc3b77e42987c257da944cc585b452c05b97",
    "i18n-iso-countries@7.14.0": "bb418ebfb965789fcfbcce7dee59888d901ef64b03601da78b2e224cd6f5825c",
}
ABOUT = (
    "Written by tools/world.py. Shapes: Natural Earth 1:110m, public domain, by world-atlas 2.0.2 (ISC). "
    "Codes and names: i18n-iso-countries 7.14.0 (MIT)."
)
WIDTH = 1000  # units; the height follows
NORTH, SOUTH = 83.7, -56.0  # degrees: without Antarctica, where nobody signs in but from a point
TOLERANCE = 0.5  # units by which a simplified border may be off
SMALL = 20.0  # square units: less is hard to see and to hit, and gets a point too
LEAST = 1.0  # square units: an islet below it is left out
OF_ANOTHER = {"N. Cyprus": "CY", "Somaliland": "SO", "Kosovo": "XK"}  # by Natural Earth's names; they have no number
PARTS_OF = {  # what ISO counts by itself and Natural Earth as a part: of whom, and the box that it is in, in degrees
    "GF": ("FR", (-55, 2, -51, 6)),
    "SJ": ("NO", (9, 74, 34, 81)),
}
POINTS = {  # latitude and longitude of what Natural Earth draws as a part of another country, or not at all
    "AQ": (-56.0, 0.0), "BQ": (12.2, -68.3), "BV": (-54.4, 3.4), "CC": (-12.2, 96.8), "CX": (-10.5, 105.7),
    "GP": (16.2, -61.5), "MQ": (14.6, -61.0), "RE": (-21.1, 55.5), "TK": (-9.2, -171.8), "UM": (19.3, 166.6),
    "YT": (-12.8, 45.2),
}  # fmt: skip
NAMES = {  # where the package has several: the short one that people use
    "AE": "United Arab Emirates", "CD": "Democratic Republic of the Congo", "CG": "Republic of the Congo",
    "CI": "Côte d’Ivoire", "CN": "China", "CZ": "Czechia", "GM": "Gambia", "IR": "Iran", "KR": "South Korea",
    "MK": "North Macedonia", "PS": "Palestine", "RU": "Russia", "TW": "Taiwan", "TZ": "Tanzania", "US": "United States",
}  # fmt: skip
# Robinson's table: each five degrees of latitude, how long the parallel is and how far from the equator.
LENGTHS = (
    1.0, 0.9986, 0.9954, 0.99, 0.9822, 0.973, 0.96, 0.9427, 0.9216, 0.8962, 0.8679, 0.835, 0.7986, 0.7597, 0.7186,
    0.6732, 0.6213, 0.5722, 0.5322,
)  # fmt: skip
DISTANCES = (
    0.0, 0.062, 0.124, 0.186, 0.248, 0.31, 0.372, 0.434, 0.4958, 0.5571, 0.6176, 0.6769, 0.7346, 0.7903, 0.8435, 0.8936,
    0.9394, 0.9761, 1.0,
)  # fmt: skip
Point = tuple[float, float]


def main(arguments: Sequence[str]) -> int:
    """0 when the file is as it should be, or was written."""
    with tempfile.TemporaryDirectory() as folder:
        atlas, words = (_fetched(package, Path(folder)) for package in PACKAGES)
        made = _written(
            json.loads((atlas / "countries-110m.json").read_text("utf-8")),
            json.loads((atlas / "countries-10m.json").read_text("utf-8")),
            json.loads((words / "codes.json").read_text("utf-8")),
            json.loads((words / "langs" / "en.json").read_text("utf-8"))["countries"],
        )
    if "--check" in arguments:
        return int(TARGET.read_text("utf-8") != made)
    TARGET.write_text(made, "utf-8")
    print(f"{TARGET.name}: {len(made.encode()):,} bytes")
    return 0


def _fetched(package: str, folder: Path) -> Path:
    """The package's files. Raises ValueError when its archive is another than expected."""
    command = ["npm", "pack", package, "--silent", "--pack-destination", str(folder)]
    archive = folder / subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != PACKAGES[package]:
        raise ValueError(f"{package} has the SHA-256 {found}, not the one that is expected.")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / archive.stem, filter="data")
    return folder / archive.stem / "package"


def _written(coarse: Any, fine: Any, codes: Any, names: Mapping[str, Any]) -> str:
    """The file: a country on each line, `[name, path]` or `[name, path, x, y]`; the path is empty without a shape."""
    by_number = {number: code for code, _, number, *_ in codes}
    shapes, middles = _rings(coarse, by_number, TOLERANCE), _rings(fine, by_number, 0)
    lines = []
    for code in sorted(by_number.values()):
        rings = shapes.get(code, []) if code != "AQ" else []
        name = NAMES.get(code) or (names[code] if isinstance(names[code], str) else names[code][0])
        entry: list[Any] = [name, _path(rings)]
        if sum(map(_area, rings)) < SMALL:
            entry += _middle(code, middles)
        lines.append(f'"{code}":{json.dumps(entry, ensure_ascii=False, separators=(",", ":"))}')
    head = f'{{"about":{json.dumps(ABOUT)},"width":{WIDTH},"height":{round(_projected(0, SOUTH)[1])},"countries":{{'
    return head + "\n" + ",\n".join(lines) + "\n}}\n"


def _rings(topology: Any, by_number: Mapping[str, str], tolerance: float) -> dict[str, list[list[Point]]]:
    """The rings of each country in the map's units. Each arc, which two countries may share, is simplified once.

    They come without the cut at 180 degrees, and are cut there again.
    """
    arcs = [_simplified(list(_decoded(arc, topology["transform"])), tolerance) for arc in topology["arcs"]]
    found: dict[str, list[list[Point]]] = {}
    for shape in topology["objects"]["countries"]["geometries"]:
        code = by_number.get(shape.get("id", "")) or OF_ANOTHER.get(shape["properties"]["name"])
        if code:
            polygons = [shape["arcs"]] if shape["type"] == "Polygon" else shape["arcs"]
            rings = (piece for polygon in polygons for ring in polygon for piece in _cut(_joined(ring, arcs)))
            for ring in rings:
                found.setdefault(_owner(code, ring), []).append([_projected(*point) for point in ring])
    return found


def _owner(code: str, ring: Sequence[Point]) -> str:
    """Whose ring it is."""
    x, y = ring[0]
    for part, (whole, (west, south, east, north)) in PARTS_OF.items():
        if code == whole and west < x < east and south < y < north:
            return part
    return code


def _decoded(arc: Iterable[Sequence[int]], transform: Any) -> Iterable[Point]:
    """Its points as longitude and latitude."""
    x = y = 0
    for right, up in arc:
        x, y = x + right, y + up
        scale, shift = transform["scale"], transform["translate"]
        yield x * scale[0] + shift[0], y * scale[1] + shift[1]


def _cut(ring: Sequence[Point]) -> list[list[Point]]:
    """A ring that goes round the back of the globe as its pieces at both sides of the map."""
    whole, turns = [ring[0]], 0
    for (before, _), (longitude, latitude) in pairwise(ring):
        turns += (longitude - before < -180) - (longitude - before > 180)
        whole.append((longitude + 360 * turns, latitude))
    shifts = [shift for shift in (-360, 0, 360) if any(-180 < x + shift < 180 for x, _ in whole)]
    moved = ([(x + shift, y) for x, y in whole] for shift in shifts)
    return [_half(_half(piece, 180), -180) for piece in moved]


def _half(ring: Sequence[Point], edge: float) -> list[Point]:
    """What of a ring is on the inner side of a meridian (Sutherland and Hodgman's)."""
    found: list[Point] = []
    for (x1, y1), (x2, y2) in pairwise([*ring, ring[0]]):
        if (abs(x1) <= 180 or x1 * edge < 0) != (abs(x2) <= 180 or x2 * edge < 0):
            found.append((edge, y1 + (y2 - y1) * (edge - x1) / (x2 - x1)))
        if abs(x2) <= 180 or x2 * edge < 0:
            found.append((x2, y2))
    return [*found, found[0]] if found else []


def _projected(longitude: float, latitude: float) -> Point:
    """Robinson's projection, from the upper left corner."""
    return _across(longitude, latitude), _down(NORTH) - _down(latitude)


def _across(longitude: float, latitude: float) -> float:
    return WIDTH / 2 + WIDTH / 2 * _between(LENGTHS, latitude) * longitude / 180


def _down(latitude: float) -> float:
    """Above the equator, in units: a full parallel is 2π · 0.8487 radii long, a pole 1.3523 radii away."""
    radius = WIDTH / (2 * 0.8487 * radians(180))
    return 1.3523 * radius * _between(DISTANCES, latitude) * (1 if latitude >= 0 else -1)


def _between(table: Sequence[float], latitude: float) -> float:
    step, rest = divmod(min(abs(latitude), 89.999), 5)
    return table[int(step)] + (table[int(step) + 1] - table[int(step)]) * rest / 5


def _simplified(points: list[Point], tolerance: float) -> list[Point]:
    """Douglas and Peucker's: what is further off than that stays."""
    if len(points) < 3 or not tolerance:
        return points
    first, last = points[0], points[-1]
    far, at = max((_off(point, first, last), at) for at, point in enumerate(points[1:-1], 1))
    if far <= tolerance and first != last:
        return [first, last]
    return _simplified(points[: at + 1], tolerance)[:-1] + _simplified(points[at:], tolerance)


def _off(point: Point, first: Point, last: Point) -> float:
    """How far a point is from a line on the map, or from both its ends where they are one."""
    (x, y), (x1, y1), (x2, y2) = (_projected(*each) for each in (point, first, last))
    length = hypot(x2 - x1, y2 - y1)
    if not length:
        return hypot(x - x1, y - y1)
    return abs((x2 - x1) * (y1 - y) - (x1 - x) * (y2 - y1)) / length


def _joined(ring: Iterable[int], arcs: Sequence[list[Point]]) -> list[Point]:
    """A ring of arcs; one below zero is gone through backwards."""
    found: list[Point] = []
    for number in ring:
        arc = arcs[number] if number >= 0 else arcs[~number][::-1]
        found += arc[1:] if found else arc
    return found


def _area(ring: Sequence[Point]) -> float:
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise([*ring, ring[0]]))) / 2


def _path(rings: Iterable[Sequence[Point]]) -> str:
    """In whole units, relative to the point before, with no sign that can be left out."""
    drawn = ""
    for ring in rings:
        points = [(round(x), round(y)) for x, y in ring]
        steps = [(x2 - x1, y2 - y1) for (x1, y1), (x2, y2) in pairwise(points)]
        steps = [step for step in _straight(steps) if step != (0, 0)]
        if len(steps) > 2 and _area(points) >= LEAST:
            drawn += f"M{_pair(*points[0])}l" + _numbers(steps[:-1]) + "z"
    return drawn


def _straight(steps: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Steps on in one direction are one step."""
    found: list[tuple[int, int]] = []
    for x, y in steps:
        if found and found[-1][0] * y == found[-1][1] * x and found[-1][0] * x + found[-1][1] * y > 0:
            found[-1] = (found[-1][0] + x, found[-1][1] + y)
        else:
            found.append((x, y))
    return found


def _numbers(steps: Iterable[tuple[int, int]]) -> str:
    text = ""
    for step in steps:
        pair = _pair(*step)
        text += pair if not text or pair.startswith("-") else f" {pair}"
    return text


def _pair(x: int, y: int) -> str:
    return f"{x}{y}" if y < 0 else f"{x} {y}"


def _middle(code: str, rings: Mapping[str, Sequence[Sequence[Point]]]) -> list[int]:
    """The middle of the largest part. Raises KeyError for a country that is nowhere."""
    if code in POINTS:
        latitude, longitude = POINTS[code]
        x, y = _projected(longitude, latitude)
        return [round(x), round(y)]
    largest = max(rings[code], key=_area)
    count = len(largest)
    return [round(sum(x for x, _ in largest) / count), round(sum(y for _, y in largest) / count)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
