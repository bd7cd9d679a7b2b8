# page.py - what the pages of compare.py and synth_page.py share: one file of HTML, plots inside, nothing fetched.
# SPDX-License-Identifier: Apache-2.0
import html

STYLE = """
:root{--bg:#fff;--fg:#1b1f24;--soft:#5b6570;--line:#d7dce2;--head:#f3f5f7}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e3e7eb;--soft:#98a3ae;--line:#353c44;--head:#1d2227}}
body{background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2.4rem}h3{font-size:1rem;margin-bottom:.3rem}
p,li{max-width:52rem}.soft{color:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .55rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{background:var(--head);font-weight:600}td.l,th.l{text-align:left}td.t{text-align:left;white-space:normal;min-width:12rem}
td.no{color:var(--soft)}.heat td{color:#101418;border:1px solid var(--bg)}.heat td.no{background:var(--head);color:var(--soft)}
svg{max-width:100%;height:auto}svg text{fill:var(--fg);font:12px system-ui,sans-serif}svg .soft{fill:var(--soft)}
svg .axis{stroke:var(--line)}summary{cursor:pointer;margin:.4rem 0}
"""


def esc(v):
    return html.escape(str(v), quote=True)


def number(v, digits=2):
    if v is None:
        return "-"
    return "%.*f" % (digits if abs(v) < 100 else 1 if abs(v) < 1000 else 0, v)


def colour(i, n):
    return "hsl(%d 62%% %d%%)" % (round(360 * i / max(n, 1)), 42 + 10 * (i % 2))


def marker(x, y, i, n, title=""):
    """One of four shapes in one of n colours."""
    shape = ('<circle cx="{0:.1f}" cy="{1:.1f}" r="4.5" ', '<path d="M{0:.1f} {1:.1f}m-4 -4h8v8h-8z" ',
             '<path d="M{0:.1f} {1:.1f}m0 -5.5l5 9.5h-10z" ', '<path d="M{0:.1f} {1:.1f}m0 -6l5.5 6l-5.5 6l-5.5 -6z" ')[i % 4]
    return shape.format(x, y) + 'fill="%s" fill-opacity=".8">%s</%s>' % (
        colour(i, n), "<title>%s</title>" % esc(title) if title else "", shape.split()[0][1:])


def table(head, rows, cls=""):
    """head: names, a leading < for columns of words. rows: lists of text or (text, class)."""
    out = ['<div class="wide"><table class="%s"><tr>' % cls]
    left = [h[0] == "<" for h in head]
    out += ["<th%s>%s</th>" % (' class="l"' if l else "", esc(h.lstrip("<"))) for h, l in zip(head, left)]
    out.append("</tr>")
    for r in rows:
        out.append("<tr>")
        for v, l in zip(r, left):
            text, c, style = (v + ("",))[:3] if isinstance(v, tuple) else (v, "l" if l else "", "")
            out.append("<td%s%s>%s</td>" % (' class="%s"' % c if c else "", ' style="%s"' % style if style else "", esc(text)))
        out.append("</tr>")
    return "".join(out) + "</table></div>"


def log_ticks(low, high):
    return [m * 10 ** e for e in range(-3, 13) for m in (1, 2, 5) if low <= m * 10 ** e <= high]
