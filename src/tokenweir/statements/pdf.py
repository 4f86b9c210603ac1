"""A statement as a PDF of A4 pages. Needs ``tokenweir[pdf]``.

The fonts that every reader of PDF has know the letters of Western Europe only. For others a font is looked for where
systems keep DejaVu and Liberation, unless one is named.
"""

from io import BytesIO
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigError, quoted
from .html import about, facts_of, lines_table, summary_table
from .statement import Statement
from .tables import group_rows

__all__ = ["as_pdf"]

_PLACES: Final = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/Library/Fonts/Arial Unicode.ttf",
)


def as_pdf(statement: Statement, font: Path | None = None) -> bytes:
    """The whole file. `ConfigError` where what it needs is not installed, or no font has a letter that is in it."""
    try:
        from reportlab.lib import colors, pagesizes
        from reportlab.lib.styles import ParagraphStyle
        from reportlab.platypus import KeepTogether, LongTable, Paragraph, SimpleDocTemplate, Spacer
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"a PDF needs {error.name}; run: pip install 'tokenweir[pdf]', or use --format html"
        ) from error

    regular, bold = _fonts(_all_text(statement), font)
    plain = ParagraphStyle("plain", fontName=regular, fontSize=7.5, leading=9.5)
    number = ParagraphStyle("number", parent=plain, alignment=2)
    head = ParagraphStyle("head", parent=plain, fontName=bold)
    number_head = ParagraphStyle("number-head", parent=head, alignment=2)
    title = ParagraphStyle("title", parent=head, fontSize=15, leading=20)
    heading = ParagraphStyle("heading", parent=head, fontSize=9.5, leading=13, spaceBefore=10, spaceAfter=3)
    ink, rule, band = colors.HexColor("#1b1f24"), colors.HexColor("#d1d9e0"), colors.HexColor("#f6f8fa")
    page = pagesizes.landscape(pagesizes.A4)
    width = page[0] - 68

    def paragraph(text: str, style: ParagraphStyle = plain) -> Any:
        return Paragraph(_escaped(text), style)

    def table(made: Any, widths: list[float]) -> Any:
        heads, rows, feet = made
        share = width / sum(widths)
        cells = [[paragraph(text, number if n else plain) for text, n in row] for row in rows]
        bold_rows = [[paragraph(text, number_head if n else head) for text, n in row] for row in (heads, *feet)]
        cells = [bold_rows[0], *cells, *bold_rows[1:]]
        last = len(cells) - len(feet)
        style: list[Any] = [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LINEBELOW", (0, 0), (-1, 0), 1, ink),
            ("LINEBELOW", (0, 1), (-1, -1), 0.3, rule),
            ("LINEABOVE", (0, last), (-1, last), 1, ink),
            ("BACKGROUND", (0, last), (-1, -1), band),
            ("LEFTPADDING", (0, 0), (-1, -1), 3),
            ("RIGHTPADDING", (0, 0), (-1, -1), 3),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ]
        return LongTable(cells, colWidths=[one * share for one in widths], repeatRows=1, style=style)

    def foot(canvas: Any, document: Any) -> None:
        canvas.setFont(regular, 7)
        canvas.drawString(34, 20, f"Statement {statement.period}")
        canvas.drawRightString(page[0] - 34, 20, f"page {document.page}")

    state = "closed" if statement.is_closed else "open"
    story: list[Any] = [
        paragraph(f"Statement {statement.period} ({state})", title),
        paragraph(about(statement)),
        Spacer(1, 6),
        *(paragraph(f"{name}: {what}") for name, what in facts_of(statement)),
        paragraph("Summary", heading),
        table(summary_table(statement), [2] * len(statement.by) + [1, 1.4, 1, 2, 1.3, 1.6, 0.9]),
    ]
    for cells, group in group_rows(statement):
        name = " · ".join(cell or "(none)" for cell in cells) or "All"
        story.append(KeepTogether([paragraph(name, heading), Spacer(1, 1)]))
        story.append(table(lines_table(group), [2, 2.4, 1.5, 1.8, 2.6, 1.4, 2]))
    story += [paragraph("Notes", heading), *(paragraph(note) for note in statement.notes)]
    story += [
        paragraph("How to check it", heading),
        paragraph("The exact amounts, before they are rounded and converted, are the answer to this query:"),
        paragraph(statement.check),
    ]
    file = BytesIO()
    SimpleDocTemplate(
        file,
        pagesize=page,
        leftMargin=34,
        rightMargin=34,
        topMargin=34,
        bottomMargin=36,
        title=f"Statement {statement.period}",
        author=statement.organisation or "Tokenweir",
        # The same statement is the same file: no moment of making, no chance.
        invariant=1,
    ).build(story, onFirstPage=foot, onLaterPages=foot)
    return file.getvalue()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _all_text(statement: Statement) -> str:
    parts = [statement.organisation, statement.closed_by, *statement.by, *statement.notes]
    for cells, group in group_rows(statement):
        parts += cells
        for line in group.lines:
            parts += [line.model, line.region, line.sku, line.tier, line.price_id, line.reason]
    return "".join(part for part in parts if part)


def _fonts(text: str, given: Path | None) -> tuple[str, str]:
    """The names of a regular and a bold font that have all letters."""
    if given is None:
        try:
            text.encode("cp1252")
            return "Helvetica", "Helvetica-Bold"
        except UnicodeEncodeError:
            pass
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFError, TTFont

    missing = ""
    for place in [given] if given is not None else map(Path, _PLACES):
        if given is None and not place.exists():
            continue
        try:
            font = TTFont(place.stem, str(place))
        except (TTFError, OSError) as error:
            raise ConfigError(f"--font {place} is no TrueType font that can be used: {error}") from error
        missing = next((letter for letter in text if ord(letter) not in font.face.charToGlyph), "")
        if not missing:
            pdfmetrics.registerFont(font)
            return place.stem, place.stem
    letter = missing or next(letter for letter in text if not _is_western(letter))
    raise ConfigError(
        f"no font is known here that has the letter {quoted(letter)}; name a TrueType font that has it with --font, "
        "or use --format html"
    )


def _is_western(letter: str) -> bool:
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True
