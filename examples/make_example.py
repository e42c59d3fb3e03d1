"""How the data in this folder were made: a 6-Mb slice of hg19 chr20, the ENCODE peaks of 40 markers inside it, motifs.

    python make_example.py SOURCE

SOURCE holds chr20.fa.gz (UCSC hg19, bgzip), markers.tsv (columns name, class, file), peaks/ (the chr20 lines of the
original ENCODE and Roadmap files) and JASPAR2024_CORE_vertebrates.meme.gz. The contig keeps its name and length;
outside the slice it is N.
"""

import csv
import gzip
import re
import sys
import tempfile
from pathlib import Path

import pysam

HERE = Path(__file__).parent
CONTIG, START, END = "chr20", 30_000_000, 36_000_000  # 0-based half-open
LINE = 60
TFBS = 25
CTCF = 4
# One of each factor among these peaks, where JASPAR has several that of most sites (of CTCF its core, not the variants
# of over 30 bp), and of the pairs c-Fos and c-Myc bind in, FOS::JUN and MAX::MYC. PHF8, Pol2, Rad21, SMC3 have none.
MOTIFS = {
    "MA0139.2", "MA0154.5", "MA0080.7", "MA0684.3", "MA0047.4", "MA0114.5", "MA0162.5", "MA0473.4", "MA0058.4",
    "MA0809.3", "MA0750.3", "MA0814.3", "MA0466.4", "MA0476.2", "MA0099.4", "MA0147.4", "MA0059.2", "MA0491.3",
    "MA1522.2", "MA0088.2",
}  # fmt: skip


def main(source: Path) -> None:
    write_genome(source / "chr20.fa.gz")
    write_motifs(source / "JASPAR2024_CORE_vertebrates.meme.gz")
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


def write_motifs(file: Path) -> None:
    """The header and the chosen motifs as they stand, in the order of the file."""
    header, *motifs = re.split(r"^(?=MOTIF )", gzip.decompress(file.read_bytes()).decode(), flags=re.MULTILINE)
    chosen = [motif for motif in motifs if motif.split()[1] in MOTIFS]
    (HERE / "motifs.meme").write_text(header + "".join(chosen))


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
