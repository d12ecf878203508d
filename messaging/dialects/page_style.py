"""How the page of the documents looks: the only style that its browser takes."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1c2128; --soft: #59636e; --line: #d8dee4; --card: #f6f8fa;
  --link: #0757ba; --mark: #7a3e00; --in: #0757ba; --out: #1a7f37; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f141a; --ink: #e3e8ee; --soft: #9aa5b1; --line: #2d353f; --card: #171d25;
    --link: #78b4ff; --mark: #f0a95b; --in: #78b4ff; --out: #56d07a; --bad: #ff8b83;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 4.25rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
a { color: var(--link); text-decoration: none; }
a:hover { text-decoration: underline; }
code, pre { font: .875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
p code, li code, dd code { background: var(--card); border-radius: .25rem; padding: .1em .3em; }
header, main, footer { padding: 0 1rem; max-width: 54rem; margin: 0 auto; }
header { padding-top: 1.5rem; }
h1 { margin: 0 0 .25rem; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 0 0 .25rem; font-size: 1.4rem; line-height: 1.25; }
h3 { margin: 1.75rem 0 .5rem; font-size: 1.05rem; }
h4 { margin: 1rem 0 .25rem; font-size: .8rem; font-weight: 600; color: var(--soft);
  text-transform: uppercase; letter-spacing: .04em; }
p { margin: .25rem 0 .75rem; }
.soft { color: var(--soft); }
section { padding: 2.25rem 0 .5rem; border-bottom: 1px solid var(--line); }
nav { position: sticky; top: 0; z-index: 1; background: var(--paper);
  border-bottom: 1px solid var(--line); }
nav > ul { display: flex; gap: .25rem; margin: 0; padding: .5rem 1rem; overflow-x: auto;
  list-style: none; scrollbar-width: none; }
nav > ul > li > a { display: block; padding: .4rem .75rem; border: 1px solid var(--line);
  border-radius: 2rem; white-space: nowrap; font-size: .875rem; }
nav ul ul, nav h4 { display: none; }
pre { margin: .25rem 0 1rem; padding: .75rem 1rem; background: var(--card); border-radius: .5rem;
  border: 1px solid var(--line); overflow-x: auto; overflow-wrap: normal; }
details { position: relative; border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; }
.at { position: absolute; top: 0; }
summary { padding: .6rem .85rem; cursor: pointer; list-style: none; display: grid;
  grid-template-columns: 1fr auto; column-gap: .75rem; align-items: baseline; }
summary::-webkit-details-marker { display: none; }
summary::after { content: "+"; color: var(--soft); font-family: ui-monospace, monospace;
  grid-column: 2; grid-row: 1; }
details[open] > summary::after { content: "\\2212"; }
details[open] > summary { border-bottom: 1px solid var(--line); }
summary:hover { background: var(--card); border-radius: .5rem; }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
summary > span { grid-column: 1; font-size: .9rem; color: var(--soft); }
summary > .name { font-weight: 600; font-size: .95rem; color: var(--ink); }
.in > summary > .name { color: var(--in); }
.out > summary > .name { color: var(--out); }
.body { padding: .25rem .85rem .5rem; }
.method { display: inline-block; min-width: 3.75rem; color: var(--mark); }
.fields { list-style: none; margin: .25rem 0 1rem; padding: 0; }
.fields li { padding: .45rem 0; border-top: 1px solid var(--line); font-size: .925rem; }
.fields li:first-child { border-top: 0; }
.fields p { margin: .1rem 0 0; color: var(--soft); font-size: .875rem; }
.type { color: var(--soft); font-size: .85rem; margin-left: .35rem; }
.must, .may { color: var(--bad); font-size: .8rem; margin-left: .35rem; }
.may { color: var(--mark); }
.chips { display: flex; flex-wrap: wrap; gap: .35rem; margin: .5rem 0 1rem; padding: 0; list-style: none; }
.chips a { display: block; padding: .2rem .55rem; background: var(--card); border-radius: .35rem;
  border: 1px solid var(--line); font: .8rem/1.5 ui-monospace, SFMono-Regular, Menlo, monospace; }
footer { padding-top: 1.5rem; padding-bottom: 3rem; color: var(--soft); font-size: .875rem; }
@media (min-width: 64rem) {
  html { scroll-padding-top: 1rem; }
  body { display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
  nav { grid-row: 1 / span 3; height: 100vh; overflow-y: auto; border: 0;
    border-right: 1px solid var(--line); padding: 1.25rem 0; }
  nav > ul { display: block; padding: 0 1rem; overflow: visible; }
  nav > ul > li > a { border: 0; padding: .3rem .5rem; font-weight: 600; white-space: normal; }
  nav h4 { display: block; margin: .35rem 0 .1rem 1rem; font-size: .7rem; }
  nav ul ul { display: block; list-style: none; margin: 0 0 .75rem; padding: 0 0 0 .5rem; }
  nav ul ul a { display: block; padding: .1rem .5rem; font-size: .8rem; color: var(--soft); }
  header, main, footer { width: 100%; padding-left: 2.5rem; padding-right: 2.5rem; margin: 0; }
  .jump { display: none; }
}
@media print { nav { display: none; } }
"""
