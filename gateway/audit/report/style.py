"""The report's style sheet, for light and dark screens and for paper."""

CSS = """
:root { color-scheme: light dark; --ink: #1b2330; --soft: #566173; --line: #d9dee6; --page: #f6f7f9; --card: #fff;
  --session: #b9cdee; --view: #2458b3; --abrupt: #b3261e; --warn: #8a5300; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --soft: #a3adbd; --line: #333c4a; --page: #12161d;
  --card: #1a202a; --session: #37507d; --view: #8fb4f5; --abrupt: #ff8a80; --warn: #f0b45a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans",
  sans-serif; }
header, main { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
header { padding-top: 32px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 0 0 12px; }
header p { margin: 0; color: var(--soft); }
header .span { color: var(--ink); font-size: 17px; }
header .broken { color: var(--abrupt); font-weight: 600; }
h3 { font-size: 15px; margin: 20px 0 8px; }
a { color: var(--view); }
:target { outline: 2px solid var(--view); outline-offset: 3px; border-radius: 3px; }
section, .cards li { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 20px; margin: 16px 0; }
.cards { list-style: none; padding: 0; margin: 24px 0 16px; display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); }
.cards li { padding: 14px 16px; color: var(--soft); }
.cards strong { display: block; font-size: 28px; line-height: 1.2; color: var(--ink);
  font-variant-numeric: tabular-nums; }
.cards .warn strong { color: var(--warn); }
.cards .bad strong { color: var(--abrupt); }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; font-size: 13px; color: var(--soft); white-space: nowrap; }
th, td { padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td { overflow-wrap: break-word; }
.number { text-align: right; }
time { white-space: nowrap; }
code { white-space: nowrap; font: 12px/1.8 ui-monospace, "DejaVu Sans Mono", monospace; }
td.bar { width: 30%; }
td.bar span { display: block; height: 12px; margin-top: 5px; border-radius: 3px; background: var(--view); }
.none { margin: 0; color: var(--soft); }
figure { margin: 0; }
.scrolls { display: none; margin: 0 0 10px; color: var(--soft); font-size: 13px; }
.timeline { width: 100%; min-width: 1000px; height: auto; display: block; }
.timeline text { font-size: 12px; fill: var(--soft); }
.timeline .who { fill: var(--ink); font-size: 13px; }
.timeline .tick { stroke: var(--line); }
.timeline .session { fill: var(--session); }
.timeline .view { fill: var(--view); }
.timeline .abrupt { fill: var(--abrupt); stroke: var(--card); stroke-width: 1.5; }
.legend { margin: 0 0 10px; color: var(--soft); font-size: 13px; }
.legend span { display: inline-block; width: 14px; height: 10px; border-radius: 3px; margin: 0 4px 0 10px; }
.legend span:first-child { margin-left: 0; }
.legend .session { background: var(--session); }
.legend .view { background: var(--view); }
.legend .abrupt { background: var(--abrupt); width: 10px; border-radius: 50%; }
@media screen and (max-width: 640px) { header { padding: 16px 12px 0; } main { padding: 0 12px; }
  section { padding: 14px; overflow-wrap: anywhere; }
  .cards { grid-template-columns: 1fr 1fr; } .scrolls { display: block; }
  thead { display: none; } table, tbody, tr, td, td.bar { display: block; width: auto; }
  tr { padding: 8px 0; border-bottom: 1px solid var(--line); }
  th, td { padding: 1px 0; border: 0; } td.number { text-align: left; } td:empty { display: none; }
  td::before { content: attr(data-name) " "; color: var(--soft); font-size: 13px; } td.bar::before { content: none; }
  code { white-space: normal; } }
@media print { :root { --page: #fff; --ink: #000; --soft: #333; --card: #fff; --line: #bbb; }
  body { font-size: 11px; } header, main { max-width: none; padding: 0; } section { padding: 8px 0; border: 0; }
  .cards { grid-template-columns: repeat(6, 1fr); } tr, figure, .cards { break-inside: avoid; }
  h2 { break-after: avoid; } .scroll { overflow: visible; } .timeline { min-width: 0; }
  .timeline, td.bar span, .legend span { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
