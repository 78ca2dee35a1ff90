# %% [markdown]
# # bandmark from Python
# The three calls of the library: `run()` measures, `load()` reads, `compare()` judges. Each gives objects or pandas
# frames; the columns of a frame are those of results/README.md. Open this file in Jupyter (jupytext) or an editor that
# knows `# %%` cells, or run it as a script. BANDMARK_SIZE sets the bytes of each array, and thus the time it takes.

# %%
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import bandmark
from bandmark.api import from_frame
from bandmark.store import to_csv

SIZE = int(os.environ.get("BANDMARK_SIZE", "268435456"))

# %% [markdown]
# ## Measure
# The options are those of `bandmark run`. Arrays that fit the processor's cache are measured as well, but their rows
# have no percentages: `regime` says where the data came from.

# %%
options = {"kernels": ("copy", "triad", "read"), "backends": ("numpy",), "dtypes": ("float64",), "size_bytes": SIZE}
first = bandmark.run(**options, quick=True, time_limit_s=3.0)
print(first[["kernel", "bandwidth_gbs", "regime", "status"]].to_string(index=False))

# %% [markdown]
# Unknown values are missing values, never 0; only rows that are `ok` count as results.

# %%
ok = first[first.status == "ok"]
print(f"{len(ok)} of {len(first)} rows are ok; peak known: {bool(first.peak_gbs.notna().any())}")

# %% [markdown]
# ## Compare
# Runs of one side are replicates of each other. Two runs of one machine should be SAME; with a single run a side the
# answer is UNCLEAR, because nothing tells how much runs differ, and the frame says what to do.

# %%
second = bandmark.run(**options, quick=True, time_limit_s=3.0)
comparison = bandmark.compare(first, second)
verdicts = comparison.frame()
print(verdicts[["kernel", "verdict", "ratio"]].to_string(index=False))

# %% [markdown]
# ## Load
# Result files come back as the same frames, many files as one.

# %%
with TemporaryDirectory() as folder:
    files = [Path(folder, f"{number}.csv") for number in (1, 2)]
    for file, frame in zip(files, (first, second), strict=True):
        file.write_text(to_csv(from_frame(frame)))
    both = bandmark.load(*files)
print(both.groupby("kernel").bandwidth_gbs.agg(["min", "max"]).to_string())
