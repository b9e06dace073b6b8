"""System calls, as strace shows them."""

import re

from .saves import check, run

LINE = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\w+)")


class Call:
    """A system call: the nth of its name, as strace counts them."""

    def __init__(self, line, name, arguments, result, nth):
        self.line, self.name, self.arguments, self.nth = line, name, arguments, nth
        self.result = int(result, 0) if result != "?" else None

    @property
    def strings(self):
        """The arguments in quotes, which -xx writes in hexadecimal."""
        quoted = re.findall(r'"((?:\\x[0-9a-f]{2})*)"', self.arguments)
        return [bytes.fromhex(text.replace("\\x", "")) for text in quoted]

    @property
    def numbers(self):
        """The arguments that are plain numbers, in order."""
        plain = re.sub(r'"[^"]*"', "", self.arguments)
        return [int(text) for text in plain.split(", ") if re.fullmatch(r"-?\d+", text)]


def trace(command, folder, file, *options):
    """Runs a command under strace: all calls of its main thread, which does the saving."""
    result = run(["strace", "-qq", "-xx", "-s", "10000000", "-o", file, *options, *command], folder)
    return result, parse(file)


def parse(file):
    calls, counts = [], {}
    for line in file.read_text().splitlines():
        match = LINE.match(line) or re.match(r"^(?P<name>exit_group)\((?P<arguments>.*)\)", line)
        if match:
            name = match["name"]
            counts[name] = counts.get(name, 0) + 1
            result = match.groupdict().get("result") or "?"
            calls.append(Call(line, name, match["arguments"], result, counts[name]))
    return calls


def windows(calls):
    """The ranges of calls that belong to saves: from the opening of the folder, before the temporary
    file is created, to the closing of the folder after it was synchronized."""
    found = []
    for index, call in enumerate(calls):
        if call.name != "openat" or "O_EXCL" not in call.arguments:
            continue
        check(call.strings[0].endswith(b".partial"), f"not a temporary file: {call.line}")
        start = max(i for i in range(index)
                    if calls[i].name == "openat" and "O_DIRECTORY" in calls[i].arguments
                    and "O_NONBLOCK" not in calls[i].arguments)
        folder = calls[start].result
        end = next(i for i in range(index, len(calls))
                   if calls[i].name == "close" and calls[i].numbers == [folder])
        found.append((start, end + 1))
    return found
