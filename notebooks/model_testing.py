# %% [markdown]
# # Testing a model
#
# Scores, predictions, confusions, where the network looks, and a map of its answers. By default of the demo's run,
# which `scripts/demo.sh` makes; set `RUN` to a run folder of yours.

# %%
import os

RUN = os.environ.get("BUTTERFLYER_RUN", "../demo/run")
SPLIT = "test"

# %%
import matplotlib.pyplot as plt
import numpy as np

import butterflyer_jax as bj

run = bj.Run(RUN)
metrics = run.evaluate(SPLIT)
{name: metrics[name] for name in ("count", "top1", "top5", "balanced_accuracy", "expected_calibration_error")}

# %% [markdown]
# ## The training

# %%
rows = run.metrics()
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6))
for split in ("train", "val"):
    points = [(row["step"], row["loss"], row["top1"]) for row in rows if row["split"] == split]
    steps, losses, top1 = np.array(points).T
    axes[0].plot(steps, losses, label=split)
    axes[1].plot(steps, top1, label=split)
axes[0].set(xlabel="step", ylabel="loss")
axes[1].set(xlabel="step", ylabel="top-1 accuracy")
_ = axes[1].legend()

# %% [markdown]
# ## Predictions

# %%
data = bj.open_data(run.dataset, run.config)
for answer in run.predict(data.jpegs(SPLIT, range(min(6, data.num_images(SPLIT))))):
    print(f"{answer['species']:<24} {answer['probability']:.1%}  none of these: {answer['none_of_these']}")

# %% [markdown]
# ## Confusions
#
# Rows are the true species, columns the network's answers.

# %%
scored = run.logits(SPLIT)
named = scored.logits.argmax(axis=1)
confusion = np.zeros((len(run.species),) * 2, int)
np.add.at(confusion, (scored.labels, named), 1)
side = 2 + 0.45 * len(run.species)
figure, axes = plt.subplots(figsize=(side, side))
axes.imshow(confusion, cmap="Purples")
for true, predicted in np.argwhere(confusion):
    dark = confusion[true, predicted] > confusion.max() / 2
    axes.text(predicted, true, confusion[true, predicted], ha="center", va="center", color="w" if dark else "k")
places = range(len(run.species))
axes.set(xlabel="answer", ylabel="species", xticks=places, yticks=places)
axes.set_yticklabels(run.species)
_ = axes.set_xticklabels(run.species, rotation=90)

# %% [markdown]
# ## Where it looks
#
# The mistakes that the network was surest of; right answers where there are no mistakes.

# %%
sure = scored.logits.max(axis=1) * np.where(named == scored.labels, 1, 1000)
chosen = [int(number) for number in np.argsort(-sure)[:4]]
figure, axes = plt.subplots(2, 4, figsize=(8, 4.4))
for place in axes.flat:
    place.axis("off")
for column, (number, look) in enumerate(zip(chosen, run.look(data.jpegs(SPLIT, chosen)))):
    axes[0, column].imshow(look.photo)
    axes[0, column].set_title(run.species[scored.labels[number]], fontsize=7)
    axes[1, column].imshow(look.picture())
    axes[1, column].set_title(f"answer: {look.answer['species']}", fontsize=7)

# %% [markdown]
# ## A map of its answers
#
# The two directions in which the logits of all photos differ most.

# %%
centred = scored.logits - scored.logits.mean(axis=0)
plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
figure, axes = plt.subplots(figsize=(6, 4))
for label, name in enumerate(run.species[:20]):
    axes.scatter(*plane[scored.labels == label].T, s=12, label=name)
_ = axes.legend(fontsize=7)

# %% [markdown]
# ## All of it
#
# `report/index.html` lies in the run folder.

# %%
data.close()
print(f"report: {RUN}/report/index.html")
