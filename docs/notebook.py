# %% [markdown]
# # bandmark from Python
# Three calls of the library: `run()` measures, `load()` reads, `compare()` judges. Each gives objects or pandas
# frames; the columns of a frame are those of results/README.md. Open this file in Jupyter (jupytext) or an editor that
# knows `# %%` cells, or run it as a script. BANDMARK_SIZE sets the bytes of each array, and thus the time it takes.

# %%
import os
from pathlib import Path
from tempfile import TemporaryDirectory

import bandmark

SIZE = int(os.environ.get("BANDMARK_SIZE", "268435456"))

# %% [markdown]
# ## Measure
# The options are those of `bandmark run`. Arrays that fit the processor's cache are measured as well, but their rows
# have no percentages: `regime` says where the data came from. With a path the run also leaves a CSV and a JSON there.

# %%
options = {"kernels": ("copy", "triad", "read"), "backends": ("numpy",), "dtypes": ("float64",), "size_bytes": SIZE}
folder = TemporaryDirectory()
first = bandmark.run(Path(folder.name, "1.csv"), **options, quick=True, time_limit_s=3.0)
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
second = bandmark.run(Path(folder.name, "2.csv"), **options, quick=True, time_limit_s=3.0)
comparison = bandmark.compare(first, second)
verdicts = comparison.frame()
print(verdicts[["kernel", "verdict", "ratio"]].to_string(index=False))

# %% [markdown]
# ## Load
# The two runs left files, a CSV and a JSON each, as `bandmark publish` takes them. They come back as one
# frame; a folder stands for all runs in it.

# %%
both = bandmark.load(folder.name)
print(both.groupby("kernel").bandwidth_gbs.agg(["min", "max"]).to_string())
folder.cleanup()
