"""Checks the pages of --report in a real browser.

usage: scripts/check/reports.py CHROMIUM FOLDER      (unroll is found in PATH)

Each page is opened in light, dark and narrow (320 px) and as for print. It fails on a violation of axe, a request other than
the file, a message on the console, sideways scrolling, an embedded result that differs from --json, or a page over 300 KB.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import time

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

ROOT = pathlib.Path(__file__).resolve().parents[2]
VIEWS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1000, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1000, "height": 900}},
    "narrow": {"color_scheme": "light", "viewport": {"width": 320, "height": 800}},
    "narrow-dark": {"color_scheme": "dark", "viewport": {"width": 320, "height": 800}},
}
# The pages: a name, and the command, whose --json is the result; FIXTURES is the folder.
PAGES = [
    ("score", "score word.h5 lines.txt --guesses 3"),
    ("score-characters", "score character.h5 plain.txt --guesses 5"),
    ("score-tokens", "score character.h5 plain.txt --level token --base e"),
    ("evaluate", "evaluate word.h5 text.txt --protocol sentence"),
    ("evaluate-texts", "evaluate word.h5 text.txt lines.txt"),
    ("tokenize", "tokenize word.h5 lines.txt"),
    ("tokenize-characters", "tokenize character.h5 plain.txt --summary"),
    ("generate", "generate word.h5 --samples 4 --max-tokens 60 --seed 3"),
    ("generate-characters", "generate character.h5 --prompt the --max-tokens 100 --samples 2 --temperature 0.5"),
    ("gradients", "gradients word.h5 text.txt --lags 20 --windows 30"),
    ("train", "train --train train-words.txt --valid text.txt --embedding-size 16 --hidden-size 16 --optimizer adam "
     "--learning-rate 0.02 --min-count 2 --epochs 8 -o small.h5 --force --sample the"),
    ("finetune", "finetune word.h5 --train text.txt --valid lines.txt --retention plain.txt --batch-size 4 --bptt 10 --epochs 3 "
     "-o tuned.h5 --force --sample thou"),
    ("score-baseline", "score word.h5 plain.txt --baseline small.h5"),
    ("score-pairs", "score word.h5 pairs.tsv --pairs --unknown include"),
    ("evaluate-details", "evaluate word.h5 text.txt --protocol sentence --details --baseline small.h5"),
    ("inspect", "inspect word.last.h5"),
    ("convert", "convert FIXTURES/characters/model.pt --corpus FIXTURES/characters --tokenizer character --space _ --dtype f16 "
     "-o half.h5"),
    ("inspect-foreign", "inspect FIXTURES/characters/model.pt"),
    ("diff", "diff word.h5 small.h5"),
    ("diff-text", "diff word.h5 tuned.h5 --text plain.txt"),
    ("gradients-large", "gradients character.h5 plain.txt --lags 20 --windows 30 --batch-size 1"),
    ("report", "report word.last.h5 small.last.h5 FIXTURES/characters/model.pt"),
    ("validate", "validate FIXTURES/hostile"),
    ("validate-one", "validate word.h5"),
]
# Keys that a page leaves out: they differ from run to run.
TIMES = {"seconds", "tokens_per_second", "reasons"}
LIMIT = 300_000


def prepare(folder):
    """Trains a small word model, converts one of characters, and writes texts."""
    data = ROOT / "fixtures/characters"
    for name, count in ("train", 5000), ("test", -1):
        lines = (data / f"{name}.txt").read_text(encoding="utf8").split("\n")[:count]
        words = [line.replace(" ", "").replace("_", " ") for line in lines]
        (folder / f"{name}-words.txt").write_text("\n".join(words) + "\n", encoding="utf8")
    lines = [line for line in (folder / "test-words.txt").read_text(encoding="utf8").split("\n") if line.strip()]
    (folder / "text.txt").write_text("\n".join(lines[:150]) + "\n", encoding="utf8")
    hostile = "a </script><b>word</b> & \"so on\" \u05d0\u05d1\u05d2 \U0001f600"
    (folder / "lines.txt").write_text("\n".join(lines[:40] + [hostile, "w" * 300]) + "\n", encoding="utf8")
    (folder / "plain.txt").write_text("\n".join(lines[:25]) + "\n", encoding="utf8")
    swapped = [line.split() for line in lines[:60] if len(line.split()) > 3]
    rows = [f"{' '.join(words)}\t{' '.join(words[1:] + words[:1])}\tlength {min(9, len(words))}" for words in swapped]
    (folder / "pairs.tsv").write_text("\n".join(["sentence_good\tsentence_bad\tphenomenon"] + rows) + "\n", encoding="utf8")
    run(f"convert {data}/model.pt --corpus {data} --tokenizer character --space _ -o character.h5", folder)
    run("train --train train-words.txt --valid text.txt --embedding-size 32 --hidden-size 32 --num-layers 2 --optimizer adam "
        "--learning-rate 0.01 --min-count 2 --epochs 5 -o word.h5", folder)


def run(command, folder):
    """The standard output of `unroll COMMAND`."""
    result = subprocess.run(["unroll", *command.replace("FIXTURES", str(ROOT / "fixtures")).split()], cwd=folder, capture_output=True, text=True)
    if result.returncode not in (0, 1):
        sys.exit(f"unroll {command}: {result.stderr}")
    return result.stdout


def option(command, name):
    """The option for the page: it is the result of `report`, and beside the result of other verbs."""
    return f" {'--output' if command.startswith('report ') else '--report'} {name}.html --force"


def comparable(value):
    """A result without what differs from run to run."""
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items() if key not in TIMES}
    return [comparable(item) for item in value] if isinstance(value, list) else value


def printed(command, folder):
    """The result of a command as JSON: one value, or a list of one for each line."""
    text = run(command + " --json", folder)
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines()]


class Page:
    """A page in one view of the browser."""

    def __init__(self, browser, path, view):
        self.context = browser.new_context(offline=True, **VIEWS[view])
        self.page = self.context.new_page()
        self.requests, self.messages = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.goto(path.as_uri())

    def faults(self):
        """What is wrong, as texts."""
        for url in self.requests[1:]:
            yield f"requests {url}"
        for message in self.messages:
            yield f"console: {message}"
        if not self.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"):
            yield "scrolls sideways"
        self.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        for violation in Axe().run(self.page).response["violations"]:
            yield f"axe {violation['id']}: {violation['nodes'][0]['html'][:200]}"

    def keyboard(self):
        """`True` if arrow keys move in the heat map and show the numbers of the word below the pointer."""
        words = self.page.locator(".heat span")
        if words.count() < 2:
            return True
        words.first.focus()
        self.page.keyboard.press("ArrowRight")
        return self.page.evaluate(
            "document.activeElement === document.querySelectorAll('.heat span')[1] && "
            "getComputedStyle(document.activeElement, '::after').content.includes(document.activeElement.dataset.d.slice(0, 4))")


def check(browser, name, folder):
    """The faults of a page."""
    path = folder / f"{name}.html"
    for view in VIEWS:
        page = Page(browser, path, view)
        page.page.screenshot(path=folder / f"{name}-{view}.png", full_page=True)
        yield from (f"{view}: {fault}" for fault in page.faults())
        if view == "light":
            if not page.keyboard():
                yield "arrow keys do not move in the heat map"
            page.page.emulate_media(media="print")
            yield from (f"print: {fault}" for fault in page.faults())
            page.page.pdf(path=folder / f"{name}.pdf")
        page.context.close()
    if path.stat().st_size > LIMIT:
        yield f"{path.stat().st_size} bytes"


def main():
    chromium, folder = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    prepare(folder)
    start, faults = time.time(), 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, command in PAGES:
            run(command + option(command, name), folder)
            found = list(check(browser, name, folder))
            page = (folder / f"{name}.html").read_text(encoding="utf8")
            embedded = page.partition('<script type="application/json" id="result">')[2].partition("</script>")[0]
            # convert has no --json: its page embeds what inspect prints of the file that it wrote.
            other = command + option(command, "other") if not command.startswith("convert ") else "inspect half.h5"
            result, expected = json.loads(embedded), printed(other, folder)
            if command.startswith("convert "):
                result, expected = ({key: value[key] for key in ("bytes", "layers", "parameter_count")} for value in (result, expected))
            if comparable(result) != comparable(expected):
                found.append("the embedded result is not that of --json")
            for fault in found:
                print(f"{name}: {fault}")
            faults += len(found)
            print(f"{name}: {len(page.encode())} bytes, {len(found)} faults")
        browser.close()
    print(f"check/reports: {len(PAGES)} pages in {len(VIEWS)} views and print, {faults} faults, {time.time() - start:.0f} s")
    sys.exit(1 if faults else 0)


main()
