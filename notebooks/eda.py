# %% [markdown]
# # The data set
#
# Counts, samples, sizes, colour, class balance, and what augmentation does. By default of the demo's drawings, which
# `scripts/demo.sh` makes; set `SOURCE` to a raw zip, a folder or a built data set of yours.

# %%
import os

SOURCE = os.environ.get("BUTTERFLYER_INPUT", "../demo/raw/butterflies.zip")
CONFIG = os.environ.get("BUTTERFLYER_CONFIG", "demo")

# %%
import matplotlib.pyplot as plt
import numpy as np

import butterflyer_jax as bj

config = bj.load_config(CONFIG)
data = bj.open_data(SOURCE, config)
card = data.card
{name: card[name] for name in ("members", "photos", "rejects", "ignored", "splits")}

# %% [markdown]
# ## Photos of each species

# %%
names = list(card["species"])
left = np.zeros(len(names))
figure, axes = plt.subplots(figsize=(7, 1 + 0.25 * len(names)))
for split in card["splits"]:
    counts = np.array([card["species"][name][split] for name in names])
    axes.barh(names, counts, left=left, label=split)
    left += counts
axes.invert_yaxis()
axes.set_xlabel("photos")
_ = axes.legend(ncols=3, bbox_to_anchor=(0, 1), loc="lower left")

# %% [markdown]
# ## Samples: one photo of each species

# %%
labels = data.labels("train")
first = [int(np.argmax(labels == label)) for label in range(min(len(names), 8))]
figure, axes = plt.subplots(2, 4, figsize=(8, 4.6))
for place in axes.flat:
    place.axis("off")
for place, image, name in zip(axes.flat, data.images("train", first), data.species):
    place.imshow(image)
    place.set_title(name, fontsize=8)

# %% [markdown]
# ## Sizes and colour
#
# Of the stored photos, every tenth of the training split.

# %%
images = data.images("train", range(0, data.num_images("train"), 10))
figure, axes = plt.subplots(1, 2, figsize=(8, 2.6))
axes[0].hist([image.shape[1] / image.shape[0] for image in images], 20)
axes[0].set_xlabel("width / height")
for channel, colour in enumerate(("red", "green", "blue")):
    axes[1].hist([image[..., channel].mean() for image in images], 20, color=colour, alpha=0.4)
_ = axes[1].set_xlabel("mean of a channel")

# %% [markdown]
# ## Near-duplicates and class balance

# %%
totals = np.array([sum(row[split] for split in card["splits"]) for row in card["species"].values()])
print("near-duplicates:", card["near_duplicates"])
print(f"photos of the commonest and of the rarest species: {totals.max()} and {totals.min()}")

# %% [markdown]
# ## What augmentation does
#
# Training photos as the network sees them.

# %%
batch = next(iter(data.augmented()))
figure, axes = plt.subplots(2, 8, figsize=(8, 2.4))
for place in axes.flat:
    place.axis("off")
for place, image, label in zip(axes.flat, batch["image"], batch["label"]):
    place.imshow(image)
    place.set_title(data.species[label], fontsize=5)

# %% [markdown]
# ## All of it
#
# `data_card.html` lies beside the records.

# %%
data.close()
print(*sorted(card), sep=", ")
