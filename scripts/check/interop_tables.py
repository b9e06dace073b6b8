"""Tables of scores as pandas reads them by the line of the documentation; run by scripts/check/interop."""
import io
import re
import subprocess
import tempfile

import pandas

WORDS = ['"We', "NA", "null", "#are", "a,b", "it's", "\"\"", "nan", "-", "o\u200dk", "1e5", "TRUE"]
# Words of the model, traps among them.
KNOWN = ["NA", "#are", '""', "nan", "null", "w5", "w6", "w7", "w8"]
page = open("docs/how-to/score.md", encoding="utf8").read()
line = re.search(r"^pandas\.read_csv\(.*?\)$", page, re.M | re.S).group()
with tempfile.TemporaryDirectory() as folder:
    model = f"{folder}/words.unroll.h5"
    with open(f"{folder}/tokens.txt", "w", encoding="utf8") as file:
        file.writelines(token + "\n" for token in KNOWN + ["<eos>", "<unk>"])
    subprocess.run(["unroll", "convert", "fixtures/pytorch/lstm-state.pt", "--vocabulary", f"{folder}/tokens.txt", "-o", model],
                   check=True)
    text = " ".join(WORDS) + "\n\nw5 w6\n"
    for level in "word", "token", "sentence":
        for form in "tsv", "csv":
            options = ["--csv"] if form == "csv" else []
            table = subprocess.run(
                ["unroll", "score", model, "-", "--level", level, "--unknown", "include", *options], input=text.encode(),
                check=True, stdout=subprocess.PIPE).stdout
            assert form == "tsv" or table.count(b"\r\n") == table.count(b"\n")
            call = line if form == "tsv" else line.replace('sep="\\t", quoting=3, ', "")
            frame = eval(call.replace('"scores.tsv"', "table"), {"pandas": pandas, "table": io.BytesIO(table)})
            if level == "word":
                words = WORDS + ["w5", "w6"]
                assert frame["word"].tolist() == words, frame["word"].tolist()
                assert frame["wlen"].tolist() == [len(word) for word in words]
                assert frame["oov"].tolist() == [int(word not in KNOWN) for word in words]
            if level != "sentence":
                assert frame["surp"].dtype == float and frame["surp"].notna().all()
                # The first word or token of each line has no entropy before it.
                assert frame["entred"].isna().sum() == len(set(frame["sentid"]))
            else:
                assert frame["logprob"].dtype == float and frame["logprob"].notna().all()
                assert frame["sentid"].tolist() == [1, 2, 3]
print(f"interop: pandas {pandas.__version__} reads tables of scores by the line of the documentation")
