"""Validates what `unroll validate` prints: against schemas, and against what the exit code says."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ElementTree

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]


def schema(path):
    content = json.loads((ROOT / path).read_text())
    kind = jsonschema.validators.validator_for(content)
    kind.check_schema(content)
    return kind(content)


def main():
    findings = schema("spec/findings.schema.json")
    sarif = schema("fixtures/schemas/sarif-schema-2.1.0.json")
    with tempfile.TemporaryDirectory() as folder:
        files(pathlib.Path(folder))
        for options in [], ["--strict"], ["--config", "accept.json"], ["--max-findings", "1"], \
                ["--select", "X,T"], ["--ignore", "X"], ["--level", "error"]:
            check(folder, options, findings, sarif)
    print("check/findings: all reports are of their form")


def files(folder):
    """Hostile files, a valid one, one with a note and an error, and what cannot be read."""
    shutil.copytree(ROOT / "fixtures/hostile", folder / "host ile")
    valid = (ROOT / "fixtures/hostile/valid.unroll.h5").read_bytes()
    (folder / "valid <&\">.h5").write_bytes(valid)
    # Bytes of the vocabulary, whose digest then disagrees, and bytes behind the end.
    place = valid.index(b"<eos>")
    changed = valid[:place] + b"!" + valid[place + 1:] + b"abc"
    (folder / "changed.h5").write_bytes(changed)
    (folder / "dangling.h5").symlink_to("nowhere")
    (folder / "accept.json").write_text(json.dumps({"suppressions": [
        {"rule": "C003", "reason": "joined \"on\" purpose\u0001"},
        {"rule": "X014", "object": "/vocabulary/*", "file": "*/name*", "reason": "known <&"}]}))


def check(folder, options, findings, sarif):
    def report(form):
        run = subprocess.run(
            ["unroll", "validate", ".", "--format", form, *options], cwd=folder, capture_output=True)
        assert run.returncode == 2, run.stderr
        assert b"dangling.h5" in run.stderr
        assert not any(byte < 32 and byte != 10 for byte in run.stdout), "control characters"
        return run.stdout

    plain = json.loads(report("json"))
    findings.validate(plain)
    counts = plain["summary"]["findings"]
    shown = [item for file in plain["files"] for item in file["findings"]]
    omitted = sum(file["omitted"] for file in plain["files"])
    accepted = [item for file in plain["files"] for item in file["suppressed"]]
    total = counts["errors"] + counts["warnings"] + counts["notes"]
    assert total == len(shown) + omitted and len(plain["unreadable"]) == 1

    log = json.loads(report("sarif"))
    sarif.validate(log)
    run = log["runs"][0]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert len(rules) == len(set(rules))
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    assert sum("suppressions" in result for result in run["results"]) == len(accepted)
    assert len(run["results"]) == len(shown) + len(accepted)
    # What GitHub's documentation of code scanning asks for: a line, and fingerprints that no two share.
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert all(place["region"]["startLine"] >= 1 and place["artifactLocation"]["uri"] for place in places)
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]
    assert len(prints) == len(set(prints))
    assert any("byteOffset" in place["region"] for place in places) or options

    commands = report("github").decode().splitlines()
    names = [command.split(" ")[0] for command in commands]
    assert set(names) <= {"::error", "::warning", "::notice"}
    assert names.count("::error") == sum(item["level"] == "error" for item in shown) + 1
    assert all(command.count("::") >= 2 and ",line=1,title=" in command for command in commands)

    suites = ElementTree.fromstring(report("junit"))
    assert len(suites) == len(plain["files"]) + 1
    for suite in [*suites, suites]:
        for name, tag in ("failures", "failure"), ("errors", "error"), ("tests", "testcase"):
            assert int(suite.get(name)) == len(list(suite.iter(tag))), (suite.get("name"), name)
    failing = counts["errors"] + (counts["warnings"] if "--strict" in options else 0)
    assert int(suites.get("failures")) == failing
    # One file cannot be read.
    assert plain["summary"]["failed"]


main()
