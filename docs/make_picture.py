"""Draw docs/tracks.png: tracks of the network that comes with dilannot, above the peaks they should find.

dilannot annotate examples/chr20.fa.gz -r chr20:30,375,001-31,375,000 -o tracks && python docs/make_picture.py tracks

where there is no run/.
"""

import gzip
import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pyBigWig

CONTIG, START, END = "chr20", 30_700_000, 30_975_000  # 0-based half-open; a test block
MARKERS = ("HUVEC|DNase|None", "K562|CTCF|None", "HeLa-S3|Pol2|None", "NHEK|H3K4me3|None", "NHEK|H3K27ac|None")
PEAKS = Path(__file__).parents[1] / "examples" / "peaks"
COLOURS = {"DNase": "#1b7f5c", "TFBS": "#b3452c", "histone": "#33529c"}


def intervals(path: Path) -> list[tuple[int, int]]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    rows = (line.split("\t")[:3] for line in text.decode().splitlines() if not line.startswith("#"))
    return [
        (int(start), int(end))
        for contig, start, end in rows
        if contig == CONTIG and int(start) < END and int(end) > START
    ]


def main(folder: Path) -> None:
    tracks = {row["marker"]: row for row in json.loads((folder / "tracks.json").read_text())["tracks"]}
    lines = (PEAKS / "markers.tsv").read_text().splitlines()
    header = lines[0].split("\t")
    peaks = {
        row["name"]: row["file"] for row in (dict(zip(header, line.split("\t"), strict=True)) for line in lines[1:])
    }
    figure, axes = plt.subplots(len(MARKERS), 1, figsize=(11, 6.4), sharex=True, constrained_layout=True)
    for axis, name in zip(axes, MARKERS, strict=True):
        row = tracks[name]
        colour = COLOURS[row["class"]]
        with pyBigWig.open(str(folder / row["bigwig"])) as file:
            values = np.nan_to_num(file.values(CONTIG, START, END))  # gaps are low values
        top = max(values.max(), 0.1)
        axis.fill_between(np.arange(START, END)[::20] / 1e6, values.reshape(-1, 20).max(1), color=colour, lw=0)
        for y, source, shade in (
            (-0.16, folder / row["bed"], colour),
            (-0.34, PEAKS / peaks[name], "black"),
        ):
            for start, end in intervals(source):
                axis.plot(
                    (start / 1e6, max(end, start + 300) / 1e6),
                    (y * top, y * top),
                    color=shade,
                    lw=4,
                    solid_capstyle="butt",
                )
        axis.set_ylim(-0.46 * top, top)
        axis.set_yticks([0, top], ["0", f"{top:.2f}"])
        axis.set_ylabel(name.replace("|None", "").replace("|", "\n"), rotation=0, ha="right", va="center")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_title("Held-out windows: predicted probability, calls (colour) and ENCODE peaks (black)", loc="left")
    axes[-1].set_xlim(START / 1e6, END / 1e6)
    axes[-1].set_xlabel(f"{CONTIG}, Mb (hg19)")
    figure.savefig(Path(__file__).parent / "tracks.png", dpi=110)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
