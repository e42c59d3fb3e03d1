"""How the data in this folder were made: a 6-Mb slice of hg19 chr20 and the ENCODE peaks of 40 markers inside it.

    python make_example.py SOURCE

SOURCE holds chr20.fa.gz (UCSC hg19, bgzip), markers.tsv (columns name, class, file) and peaks/ (the chr20 lines of the
original ENCODE and Roadmap files). The contig keeps its name and length; outside the slice it is N.
"""

import csv
import gzip
import sys
import tempfile
from pathlib import Path

import pysam

HERE = Path(__file__).parent
CONTIG, START, END = "chr20", 30_000_000, 36_000_000  # 0-based half-open
LINE = 60
TFBS = 25
CTCF = 4


def main(source: Path) -> None:
    write_genome(source / "chr20.fa.gz")
    with open(source / "markers.tsv", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t"))
    peaks = {row["file"]: slice_peaks(source / "peaks" / row["file"]) for row in rows}
    chosen = choose(rows, peaks)
    (HERE / "peaks").mkdir(exist_ok=True)
    with open(HERE / "peaks" / "markers.tsv", "w") as table:
        table.write("name\tclass\tcell\ttarget\ttreatment\tfile\n")
        for row in chosen:
            (HERE / "peaks" / row["file"]).write_bytes(gzip.compress(peaks[row["file"]], mtime=0))
            table.write("\t".join([row["name"], row["class"], *row["name"].split("|"), row["file"]]) + "\n")
    total = sum(file.stat().st_size for file in HERE.rglob("*") if file.is_file())
    print(f"{len(chosen)} markers, {total / 1e6:.2f} MB in all")


def write_genome(fasta: Path) -> None:
    with pysam.FastaFile(str(fasta)) as genome:
        length = genome.get_reference_length(CONTIG)
        sequence = "N" * START + genome.fetch(CONTIG, START, END).upper() + "N" * (length - END)
    with tempfile.NamedTemporaryFile("w", suffix=".fa") as plain:
        plain.write(f">{CONTIG}\n")
        plain.writelines(sequence[at : at + LINE] + "\n" for at in range(0, length, LINE))
        plain.flush()
        pysam.tabix_compress(plain.name, str(HERE / "chr20.fa.gz"), force=True)


def slice_peaks(file: Path) -> bytes:
    """The lines of a peak file that lie inside the slice."""
    kept = []
    for line in gzip.decompress(file.read_bytes()).splitlines(keepends=True):
        contig, start, end = line.split(b"\t")[:3]
        if contig == CONTIG.encode() and int(start) >= START and int(end) <= END:
            kept.append(line)
    return b"".join(kept)


def choose(rows: list[dict[str, str]], peaks: dict[str, bytes]) -> list[dict[str, str]]:
    """All DNase and histone markers; of the TFBS, the richest CTCF sets and the richest set of each other target."""
    richest = sorted(rows, key=lambda row: -peaks[row["file"]].count(b"\n"))
    tfbs: list[dict[str, str]] = []
    for row in richest:
        target = row["name"].split("|")[1]
        same = sum(other["name"].split("|")[1] == target for other in tfbs)
        if row["class"] == "TFBS" and len(tfbs) < TFBS and same < (CTCF if target == "CTCF" else 1):
            tfbs.append(row)
    return [row for row in rows if row["class"] != "TFBS" or row in tfbs]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
