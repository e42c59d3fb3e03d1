"""What a report page holds: its tables, tags, attributes and text; and a name that must stay text in it."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE = "<script>alert(1)</script>|\"'&`$x_{$"


class Parsed(HTMLParser):
    """Tables, tags, attributes and text of a page."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self._open = False
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attributes]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        self._open = tag in ("td", "th") or (self._open and tag in ("i", "wbr"))

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._open = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open:
            self.tables[-1][-1][-1] += data

    def table(self, *titles: str) -> list[dict[str, str]]:
        """The rows of the table whose header starts so."""
        found = next(table for table in self.tables if table[0][: len(titles)] == list(titles))
        return [dict(zip(found[0], row, strict=True)) for row in found[1:]]
