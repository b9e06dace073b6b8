"""Checks the links of the documentation and prepares it for the generator of the site; run by scripts/docs.

usage: docs.py check                    links of all pages lead to files and headings
       docs.py stage FOLDER             copies the pages to FOLDER and writes FOLDER.toml, the settings with navigation
       docs.py check-site FOLDER        links of the built site lead to files, and no page loads from another host
"""
import html.parser
import json
import os
import pathlib
import re
import shutil
import sys
import unicodedata
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Pages from outside of docs, and where the site has them.
GUESTS = {
    "spec/FORMAT.md": "reference/format.md",
    "spec/RULES.md": "reference/rules.md",
    "spec/EXAMPLE.md": "reference/example.md",
    "spec/ARITHMETIC.md": "reference/arithmetic.md",
    "spec/INTERCHANGE.md": "reference/interchange.md",
    "spec/KINDS.md": "reference/kinds.md",
    "README.md": "project/readme.md",
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
    "CODE_OF_CONDUCT.md": "project/code-of-conduct.md",
    "Benchmarks/RESULTS.md": "project/results.md",
}
SECTIONS = ["tutorials", "how-to", "reference", "explanation"]
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()([^()\s]+)((?:\s+\"[^\"]*\")?\))")
FENCE = re.compile(r"^( *)(`{3,}|~{3,})")


def documents():
    """The pages that people read, as paths from the top folder."""
    pages = [*DOCS.rglob("*.md"), *(ROOT / "spec").glob("*.md"), *(ROOT / "Benchmarks").glob("*.md")]
    pages += [*ROOT.glob("*.md"), ROOT / "fixtures/README.md"]
    return sorted(page.relative_to(ROOT).as_posix() for page in pages)


def prose(text):
    """The lines of a page with code replaced by spaces, so that columns stay."""
    fence = None
    for line in text.split("\n"):
        mark = FENCE.match(line)
        if fence:
            if mark and mark[2].startswith(fence) and not line.strip().strip(fence[0]):
                fence = None
            yield ""
        elif mark:
            fence = mark[2]
            yield ""
        else:
            yield re.sub(r"(`+)(?:(?!\1).)+?\1", lambda code: " " * len(code[0]), line)


def headings(text):
    """The headings of a page, without marks of Markdown."""
    lines = text.split("\n")
    for number, line in enumerate(prose(text)):
        if re.match(r"#{1,6} ", line):
            title = lines[number].lstrip("#").strip()
            title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
            yield title.replace("`", "").replace("**", "")


def anchors(text):
    """The anchors that both GitHub and Python-Markdown give to the headings of a page, and its own ones."""
    counts, result = {}, set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    for title in headings(text):
        hosted = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode()
        built = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())
        if hosted in counts or hosted != built:
            counts[hosted] = counts.get(hosted, 0) + 1
            continue
        counts[hosted] = 1
        result.add(hosted)
    return result


def links(page):
    """Yields line, target and anchor of each link of a page to a file of the repository."""
    text = (ROOT / page).read_text(encoding="utf8")
    for number, line in enumerate(prose(text), 1):
        targets = [link[1] for link in LINK.findall(line)]
        targets += re.findall(r"^ {0,3}\[[^\]]+\]: *(\S+)", line)
        targets += re.findall(r"(?:href|src)=\"([^\"]+)\"", line)
        for target in targets:
            if not re.match(r"[a-z]+:", target):
                path, _, anchor = target.partition("#")
                yield number, target, urllib.parse.unquote(path), anchor


def resolved(page, path):
    """The path from the top folder that a link of a page leads to."""
    return os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page


def title(page):
    return next(headings((ROOT / page).read_text(encoding="utf8")), pathlib.Path(page).stem)


def members(section):
    """The pages that the index of a section lists, in its order."""
    index = f"docs/{section}/index.md"
    seen = []
    for _, _, path, _ in links(index):
        target = resolved(index, path)
        inside = os.path.dirname(target) == f"docs/{section}" or GUESTS.get(target, "").startswith(f"{section}/")
        if inside and target not in seen and target != index:
            seen.append(target)
    return seen


def check():
    problems = []
    for page in documents():
        for number, target, path, anchor in links(page):
            goal = resolved(page, path)
            if goal.startswith("..") or not (ROOT / goal).is_file():
                problems.append(f"{page}:{number}: {target}: there is no such file")
            elif anchor and goal.endswith(".md") and anchor not in anchors((ROOT / goal).read_text(encoding="utf8")):
                problems.append(f"{page}:{number}: {target}: there is no such heading")
    for section in SECTIONS:
        listed = {*members(section), f"docs/{section}/index.md"}
        for page in sorted((DOCS / section).glob("*.md")):
            name = page.relative_to(ROOT).as_posix()
            if name not in listed:
                problems.append(f"docs/{section}/index.md: does not list {page.name}")
            elif name != f"docs/{section}/index.md":
                text = (DOCS / section / "index.md").read_text(encoding="utf8")
                if f"[{title(name)}]({page.name})" not in text:
                    problems.append(f"docs/{section}/index.md: {page.name} has the title {title(name)}")
    if problems:
        sys.exit("\n".join(problems + [f"docs: {len(problems)} problems with links"]))
    print(f"docs: links of {len(documents())} pages lead to files and headings")


def place(path):
    """Where the site has a file of the repository."""
    if path in GUESTS:
        return GUESTS[path]
    return path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"


def stage(folder):
    shutil.rmtree(folder, ignore_errors=True)
    pages = [page for page in documents() if page.startswith("docs/") or page in GUESTS]
    extras = [path.relative_to(ROOT).as_posix() for path in [DOCS / "site.css", *(DOCS / "images").glob("*")]]
    for page in pages:
        text = (ROOT / page).read_text(encoding="utf8").split("\n")
        for number, line in enumerate(prose("\n".join(text))):
            # From the right, so that columns of the others stay.
            for link in reversed(list(LINK.finditer(line))):
                target = link[2]
                path, mark, anchor = target.partition("#")
                if re.match(r"[a-z]+:", target) or not path:
                    continue
                goal = resolved(page, urllib.parse.unquote(path))
                if not goal.endswith(".md") or place(goal).startswith("files/"):
                    extras.append(goal)
                new = os.path.relpath(place(goal), os.path.dirname(place(page)))
                start, end = link.span(2)
                text[number] = text[number][:start] + new + mark + anchor + text[number][end:]
        goal = folder / place(page)
        goal.parent.mkdir(parents=True, exist_ok=True)
        goal.write_text("\n".join(text), encoding="utf8")
    for path in sorted(set(extras)):
        goal = folder / place(path)
        goal.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, goal)
    navigation = [entry("docs/index.md", "Unroll")]
    for section in SECTIONS:
        index = f"docs/{section}/index.md"
        inner = ", ".join(entry(page) for page in [index, *members(section)])
        navigation.append(f"{{ {json.dumps(title(index))} = [{inner}] }}")
    navigation.append(entry("docs/glossary.md"))
    project = [page for page in GUESTS if GUESTS[page].startswith("project/")]
    inner = ", ".join(entry(page, "README" if page == "README.md" else None) for page in project)
    navigation.append(f'{{ "Project" = [{inner}] }}')
    settings = (DOCS / "zensical.toml").read_text(encoding="utf8")
    rows = ",\n  ".join(navigation)
    settings = settings.replace("[project]\n", f"[project]\nnav = [\n  {rows},\n]\n", 1)
    folder.with_suffix(".toml").write_text(settings, encoding="utf8")


def entry(page, name=None):
    return f"{{ {json.dumps(name or title(page), ensure_ascii=False)} = {json.dumps(place(page))} }}"


class Page(html.parser.HTMLParser):
    """What a page of the site loads, where its links lead, and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if values.get("id"):
            self.ids.add(values["id"])
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        elif tag == "link" and values.get("href") and values.get("rel") not in ("canonical", "alternate", "prev", "next"):
            self.loads.append(values["href"])
        for name in "src", "srcset", "data", "poster":
            if tag != "a" and values.get(name):
                self.loads.append(values[name])
        if "url(" in (values.get("style") or ""):
            self.loads.append(values["style"])

    handle_startendtag = handle_starttag


def check_site(site):
    problems = []
    pages = {path: Page(path.read_text(encoding="utf8")) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        name = path.relative_to(site)
        for address in page.loads:
            if re.match(r"(?:https?:)?//", address):
                problems.append(f"{name}: loads {address}")
            elif not address.startswith("data:") and path.name != "404.html":
                if not (path.parent / urllib.parse.unquote(address.partition("?")[0])).is_file():
                    problems.append(f"{name}: {address}: there is no such file")
        for address in page.links:
            if re.match(r"[a-z]+:|//", address) or path.name == "404.html":
                continue
            target, _, anchor = address.partition("#")
            goal = (path.parent / urllib.parse.unquote(target)).resolve() if target else path.resolve()
            if goal.is_dir():
                goal /= "index.html"
            if not goal.is_file():
                problems.append(f"{name}: {address}: there is no such page")
            elif anchor and not anchor.startswith("__") and goal in pages and anchor not in pages[goal].ids:
                problems.append(f"{name}: {address}: there is no such heading")
    for path in site.rglob("*.css"):
        for address in re.findall(r"(?:url\(|@import )['\"]?((?:https?:)?//[^'\")]+)", path.read_text(encoding="utf8")):
            problems.append(f"{path.relative_to(site)}: loads {address}")
    if problems:
        sys.exit("\n".join(problems + [f"docs: {len(problems)} problems in the site"]))
    print(f"docs: {len(pages)} pages of the site load nothing from other hosts, and their links lead to pages")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["check"]:
            check()
        case ["stage", folder]:
            stage(pathlib.Path(folder))
        case ["check-site", folder]:
            check_site(pathlib.Path(folder).resolve())
        case _:
            sys.exit(__doc__)
