"""What there is to download: the human genome, DeepSEA's 919 peak files, regions to avoid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit, urlunsplit

from dilannot.data.download.fetch import Remote
from dilannot.data.markers import Marker
from dilannot.data.published import published_markers
from dilannot.errors import DilannotError

_UCSC = "https://hgdownload.soe.ucsc.edu/goldenPath/hg19"

# The MD5 that UCSC's bigZips/md5sum.txt gives, as several public pipelines quote it. The file never changes.
HG19 = (Remote("hg19.fa.gz", f"{_UCSC}/bigZips/hg19.fa.gz", "806c02398f5ac5da8ffd6da2d1d5d1a9"),)

# Amemiya et al. 2019 at a fixed commit, MD5 of that file; the two older ENCODE lists have no MD5 that we know.
BLACKLISTS = (
    Remote(
        "hg19-blacklist.v2.bed.gz",
        "https://raw.githubusercontent.com/Boyle-Lab/Blacklist/61a04d2c5e49341d76735d485c61f0d1177d08a8/lists/"
        "hg19-blacklist.v2.bed.gz",
        "24b982fd681020b1cf030b18a2f0f586",
    ),
    *(
        Remote(name, f"{_UCSC}/encodeDCC/wgEncodeMapability/{name}")
        for name in (
            "wgEncodeDacMapabilityConsensusExcludable.bed.gz",
            "wgEncodeDukeMapabilityRegionsExcludable.bed.gz",
        )
    ),
)


def peak_files(markers: Sequence[Marker] | None = None) -> tuple[Remote, ...]:
    """Where the peaks of published markers are; of all 919 by default."""
    chosen = None if markers is None else {marker.file for marker in markers}
    return tuple(
        Remote(published.marker.file, published.url)
        for published in published_markers()
        if chosen is None or published.marker.file in chosen
    )


def through_mirror(remotes: Sequence[Remote], mirror: str) -> list[Remote]:
    """The same paths on another server; `mirror` may end in a path that goes before them."""
    to = urlsplit(mirror)
    if to.scheme not in ("http", "https") or not to.hostname or to.query or to.fragment:
        raise DilannotError("is no http or https address", where=mirror, remedy="give --mirror https://HOST[/PATH]")
    moved = []
    for remote in remotes:
        path = to.path.rstrip("/") + urlsplit(remote.url).path
        moved.append(replace(remote, url=urlunsplit((to.scheme, to.netloc, path, "", ""))))
    return moved
