"""Texts that would run in a browser, or break a page, unless they are shown as text; and the check that they are."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

PAYLOADS = [
    '<img src=x onerror="alert(1)">', "<script>alert(1)</script>", "</pre><svg/onload=alert(1)>",
    '"><img src=x onerror=alert(1)>', "'><img src=x onerror=alert(1)>", "<scr<script>ipt>alert(1)</script>",
    "<iframe srcdoc='<script>alert(1)</script>'>", "<a href=javascript:alert(1)>x</a>", "{{7*7}}",
    "{% for x in y %}", "{# a comment", "${alert(1)}", "<%= 7*7 %>", "<style>*{display:none}</style>", "'-alert(1)-'",
    '<math><mi//xlink:href="data:x,<script>alert(4)</script>">', "<body onload=alert(1)>", "</title><script>x</script>",
    "<input autofocus onfocus=alert(1)>", "&lt;script&gt;", "&#60;script&#62;", "&#x3c;script&#x3e;", "<!--<script>-->",
    "--><script>alert(1)</script>", "]]><script>alert(1)</script>", "<![CDATA[<script>]]>", "\u2028<script>",
    "<ScRiPt src=//evil.example>", "<object data=x>", "<embed src=x>", "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>", "<audio src=x onerror=alert(1)>", "<marquee onstart=alert(1)>",
    "<form action=//evil.example><button>", "<base href=//evil.example>", "<meta http-equiv=refresh content=0>",
    "<link rel=stylesheet href=//evil.example>", '" onmouseover="alert(1)', "' onmouseover='alert(1)", "` onerror=`x",
    '" style="background:url(//evil.example)', "</textarea><script>alert(1)</script>", "</td></tr></table><b>x</b>",
    "</script><script>alert(1)</script>", "</style><script>alert(1)</script>", "<svg><script href=data:,alert(1) />",
    "<svg><animate onbegin=alert(1)>", "<template><script>x</script></template>", "\x00<b>\x08x</b>", "\udcff<b>",
    "\u202e<b>x</b>\u2069", "<noscript><img title=\"</noscript><img src=x onerror=alert(1)>\">",
]  # fmt: skip


class Elements(HTMLParser):
    """The elements of a page in order, with the names of their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}", ()))


def stays_text(page: Callable[[str], str], payload: str) -> None:
    """Raise `AssertionError` unless a page has the same elements whatever a text in it says."""
    shown, plain = page(payload), page("word")
    assert Elements(shown).found == Elements(plain).found, payload
