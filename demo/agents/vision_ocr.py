"""Read digits from noisy pictures by comparing them with known shapes.

Asks for a GPU, as a real recogniser would; on a machine without one it waits, and
the scheduler says why.
"""

from __future__ import annotations

import random

import run_context

SHAPES = {  # five columns by seven rows
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
}
Picture = list[list[float]]


def shape(digit: str) -> Picture:
    return [[float(dot) for dot in row] for row in SHAPES[digit].split()]


def photograph(text: str, noise: float, chance: random.Random) -> list[Picture]:
    return [
        [[dot + chance.gauss(0, noise) for dot in row] for row in shape(digit)]
        for digit in text
    ]


def likeness(a: Picture, b: Picture) -> float:
    """How well two pictures go together, their brightness left out."""
    flat_a, flat_b = [d for row in a for d in row], [d for row in b for d in row]
    mean_a, mean_b = sum(flat_a) / len(flat_a), sum(flat_b) / len(flat_b)
    pairs = [(x - mean_a, y - mean_b) for x, y in zip(flat_a, flat_b, strict=True)]
    size = sum(x * x for x, _ in pairs) * sum(y * y for _, y in pairs)
    return sum(x * y for x, y in pairs) / size**0.5


def read(pictures: list[Picture]) -> str:
    known = {digit: shape(digit) for digit in SHAPES}
    return "".join(max(known, key=lambda d: likeness(known[d], p)) for p in pictures)


def main() -> None:
    chance = random.Random(run_context.occurrence())
    right = count = 0
    for page in range(12):
        text = "".join(chance.choices("0123456789", k=16))
        seen = read(photograph(text, 0.05 * page, chance))
        hits = sum(a == b for a, b in zip(text, seen, strict=True))
        right, count = right + hits, count + len(text)
        noise = 0.05 * page
        print(
            f"page {page}: noise {noise:.2f}, {hits} of {len(text)} right", flush=True
        )
        run_context.pause(1.5)
    run_context.result(digits=count, right=right, share=round(right / count, 4))


main()
