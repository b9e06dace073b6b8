"""Tables of scores as pandas reads them by the line of the README; run by scripts/interop."""
import io
import re
import subprocess
import tempfile

import pandas

WORDS = ['"We', "NA", "null", "#are", "a,b", "it's", "\"\"", "nan", "-", "o\u200dk", "1e5", "TRUE"]
readme = open("README.md", encoding="utf8").read()
line = re.search(r"^pandas\.read_csv\(.*\)$", readme, re.M).group()
with tempfile.TemporaryDirectory() as folder:
    model = f"{folder}/poet.unroll.h5"
    data = "fixtures/characters"
    subprocess.run(["unroll", "convert", f"{data}/model.pt", "--corpus", data, "-o", model], check=True)
    text = " ".join(WORDS) + "\n\nW e\n"
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
                assert frame["word"].tolist() == WORDS + ["W", "e"], frame["word"].tolist()
                assert frame["wlen"].tolist() == [len(word) for word in WORDS + ["W", "e"]]
                assert frame["oov"].tolist() == [1 if word not in ("-",) and len(word) > 1 else frame["oov"][i]
                                                 for i, word in enumerate(WORDS)] + [0, 0]
            if level != "sentence":
                assert frame["surp"].dtype == float and frame["entropy"].dtype == float
                assert frame["surp"].notna().all() and frame["entred"].isna().sum() == 2 * (level == "word") + 3 * (level == "token")
            else:
                assert frame["logprob"].dtype == float and frame["sentid"].tolist() == [1, 2, 3]
print(f"interop: pandas {pandas.__version__} reads tables of scores by the line of the README")
