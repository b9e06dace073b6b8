"""Draws the chart of the README from the tables of RESULTS.md; called by Benchmarks/run.

usage: chart.py                               writes docs/images/speed.svg

A bar is the time of the fastest other program over ours, f32 with two threads: of the large model of words and of the
model of characters, for each processor.
"""
import os
import re
from xml.sax.saxutils import escape

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CASES = {"LSTM 2x650, V 33,278, B 20, T 35": "words", "LSTM 2x256, V 65, B 50, T 60": "characters"}
COLOURS = {"train": "#0b6e99", "evaluate": "#c05c00", "generate": "#6a51a3"}
ROW, LEFT, WIDTH = 22, 250, 720


def rows():
    """(processor, case, work, ratio, the fastest other) of each bar, in the order of RESULTS.md."""
    processor = case = None
    with open(os.path.join(ROOT, "Benchmarks", "RESULTS.md")) as file:
        for line in file:
            if line.startswith("### "):
                processor = line[4:].strip()
            elif line.startswith("#### "):
                case = CASES.get(line[5:].strip())
            elif line.startswith("## "):
                case = None
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if processor and case and len(cells) > 7 and cells[0] in COLOURS and cells[1:3] == ["f32", "2"]:
                ratio = re.search(r"\*\*([0-9.]+)\*\*", cells[7])
                if ratio:
                    yield processor, case, cells[0], float(ratio[1]), re.sub(r" [0-9.]+$", "", cells[6])


def chart(bars):
    largest = max(max(bar[3] for bar in bars), 1.0)
    scale = (WIDTH - LEFT - 190) / largest
    parts, y, head = [], 40, None
    for processor, case, work, ratio, other in bars:
        if processor != head:
            head = processor
            y += 14
            parts.append(f'<text x="10" y="{y + 12}" class="head">{escape(processor)}</text>')
            y += ROW + 2
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{case}, {work}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y + 2}" width="{ratio * scale:.1f}" height="{ROW - 6}" fill="{COLOURS[work]}"/>')
        parts.append(f'<text x="{LEFT + ratio * scale + 6:.1f}" y="{y + 14}">{ratio:.2f}, {escape(other)}</text>')
        y += ROW
    line = LEFT + scale
    title = "Time of the fastest other program over Unroll's, f32, two threads (more than 1: Unroll is faster)"
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 16}" role="img" aria-label="{escape(title)}">\n'
            "<style>text { font: 12px sans-serif; fill: #1a1a1a } .head { font-weight: bold }</style>\n"
            f'<rect width="{WIDTH}" height="{y + 16}" fill="#ffffff"/>\n<text x="10" y="24" class="head">{escape(title)}</text>\n'
            + "\n".join(parts)
            + f'\n<line x1="{line:.1f}" y1="44" x2="{line:.1f}" y2="{y + 4}" stroke="#1a1a1a" stroke-dasharray="4 3"/>\n</svg>\n')


def main():
    path = os.path.join(ROOT, "docs", "images", "speed.svg")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(chart(list(rows())))


if __name__ == "__main__":
    main()
