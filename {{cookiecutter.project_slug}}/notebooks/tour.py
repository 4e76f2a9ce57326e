# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A tour: from the data to an audit
#
# What a registered model was made of, and who is in it, asked in Python: Git and DVC have the data, MLflow the runs,
# `lineage.api` the chain between them. Before this: `dvc repro`, and a commit. `docs/python.md` says how to run it.
#
# Git keeps this script alone. The notebook that Jupytext makes of it, `tour.ipynb`, shows records and names of people
# once it has run, so Git ignores it.

# %%
import os
import warnings
from io import BytesIO
from pathlib import Path

warnings.filterwarnings("ignore", "IProgress")  # bars that show progress are not worth a package

import dvc.api
import matplotlib.pyplot as plt
import mlflow
import pandas as pd
import yaml
from PIL import Image

from lineage.api import audit, diff, trace, verify

# a notebook begins in its own folder: what is relative in the project, such as its MLflow store, is so to its root
os.chdir(next(folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "dvc.yaml").exists()))
params = yaml.safe_load(Path("params.yaml").read_text())
name = params["tracking"]["model_name"]
model = f"models:/{name}@candidate"
model

# %% [markdown]
# ## The chain of the model
#
# From the version in the registry over its run to the commits, the dataset version and the raw data.

# %%
chain = trace(model).table()
chain.T

# %% [markdown]
# ## The dataset version, from DVC
#
# The commit that holds the result holds `dvc.lock`, and that the hash of the dataset version. DVC opens its files by
# commit, from the cache or the remote: whatever lies in the workspace now, these are the records of that model.

# %%
commit = chain["result_commit"][0]
with dvc.api.open("data/processed/manifest.parquet", rev=commit, mode="rb") as file:
    manifest = pd.read_parquet(file)
print(f"{len(manifest)} records of {manifest['subject_id'].nunique()} subjects")
manifest.head()

# %%
axes = manifest.groupby(["label", "split"]).size().unstack().plot.bar(stacked=True, figsize=(8, 3))
axes.set(title="Records by label and split", ylabel="records")
axes.legend(title="split", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# A subject is in one split, whatever is sampled, added or removed.

# %%
assert manifest.groupby("subject_id")["split"].nunique().max() == 1

# %% [markdown]
# ## The images
#
# Each shard of the dataset version is a table like the manifest, with one more column: the image.

# %%
shard = min(Path("data/processed/shards").glob("*.parquet"))
shown = pd.read_parquet(shard).head(8)
figure, places = plt.subplots(1, len(shown), figsize=(10, 1.8), squeeze=False)
for place, (_, record) in zip(places[0], shown.iterrows(), strict=True):
    place.imshow(Image.open(BytesIO(record["image"])), cmap="gray")
    place.set_title(f"{record['label']}\n{record['record_id']}", fontsize=7)
    place.axis("off")
plt.show()

# %% [markdown]
# ## The training run, from MLflow
#
# Each stage is a run of its own. Those of `train` have a metric for each epoch, and as step 0 that of the best one.

# %%
mlflow.set_tracking_uri(params["tracking"]["uri"])
client = mlflow.MlflowClient()
run = client.get_run(chain["training_run"][0])
tags = pd.Series(run.data.tags).sort_index()
tags[~tags.index.str.startswith("mlflow.")]

# %%
for metric in ("train_loss", "val_loss"):
    history = client.get_metric_history(run.info.run_id, metric)
    by_epoch = {point.step: point.value for point in history if point.step > 0}
    plt.plot(sorted(by_epoch), [by_epoch[step] for step in sorted(by_epoch)], marker="o", label=metric)
plt.title("Loss by epoch")
plt.xlabel("epoch")
plt.legend()
plt.show()

# %% [markdown]
# The test scores of the same commit, from DVC, with the interval that says how sure the accuracy is:

# %%
pd.Series(dvc.api.metrics_show("metrics/test.json", rev=commit)["test"])

# %% [markdown]
# ## Is that true?
#
# So far, all was read. `verify` computes it again, link by link, and says how many things it looked at.

# %%
proof = verify(model)
links = proof.table()
print(proof.state)
links[["link", "state", "looked_at", "text"]]

# %%
colors = {"PASS": "tab:green", "FAIL": "tab:red", "INCONCLUSIVE": "tab:orange", "ERASED": "tab:gray"}
plt.figure(figsize=(8, 5))
plt.barh(links["link"], links["looked_at"].fillna(0), color=[colors[state] for state in links["state"]])
plt.xscale("symlog")  # there may be nothing to look at
plt.gca().invert_yaxis()
plt.title(f"{model}: {proof.state}; things looked at, by link")
plt.tight_layout()
plt.show()

# %% [markdown]
# ## Who used the records of this person?
#
# `state` is COMPLETE, or INCONCLUSIVE with `reasons`: then more may have used them than is listed.

# %%
someone = manifest["subject_id"].sort_values().iloc[0]
used = audit(someone)
print(used.state, used.looked_at, *used.reasons)
used.table()

# %%
uses = used.table().drop_duplicates(["kind", "used_by"]).groupby("kind").size()
uses.plot.bar(figsize=(5, 3), title=f"What used the records of {someone}")
plt.show()

# %% [markdown]
# Had they opted out a year ago, did anything that was made since then use them? FAILED means that something did.

# %%
since = audit(someone, since=pd.Timestamp.now("UTC").to_pydatetime() - pd.Timedelta(days=365))
print(since.state, *since.reasons)

# %% [markdown]
# ## What changed?
#
# Between the first version of this model and the current one. An empty difference is one that was compared: `unknown`
# says what could not be.

# %%
versions = sorted(client.search_model_versions(f"name = '{name}'"), key=lambda version: int(version.version))
difference = diff(f"models:/{name}/{versions[0].version}", model)
difference.table()

# %% [markdown]
# Every answer here is that of a command: `lineage trace`, `verify`, `audit subject`, `audit excluded`, `diff`. What
# they return names people: keep it out of Git, MLflow and mails.
