#!/usr/bin/python3
"""The head phase in PyTorch, on the very features that `train --export-features DIR` wrote: same head, split, optimiser,
schedule and choice of epoch, other code and other random numbers. Says how far winnow's head is from it.

usage: twin_head.py DIR [--seeds 5] [--epochs 60] [--batch 32] [--lr 0.01] [--select accuracy|loss]
                    [--predictions P.tsv]     winnow's predictions of the test split (`eval`): path label pred
Prints a TSV table: who, seed, test accuracy, balanced accuracy, one recall a class. Needs python3-torch and python3-numpy.
"""
import argparse
import csv
import math
import sys

import numpy as np
import torch
from torch import nn


def read_rows(path):
    with open(path, encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))


def he_normal(linear, generator):
    deviation = math.sqrt(2 / linear.in_features) / 0.87962566103423978
    nn.init.trunc_normal_(linear.weight, 0, deviation, -2 * deviation, 2 * deviation)
    nn.init.zeros_(linear.bias)


def measures(predicted, labels, n_classes):
    recalls = [(predicted[labels == c] == c).float().mean().item() if (labels == c).any() else float("nan") for c in range(n_classes)]
    return (predicted == labels).float().mean().item(), float(np.nanmean(recalls)), recalls


def train(x, y, split, n_classes, seed, a):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    head = nn.Sequential(nn.Linear(x.shape[1], 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.25),
                         nn.Linear(128, n_classes))
    he_normal(head[0], generator)
    he_normal(head[3], generator)
    nn.init.xavier_uniform_(head[6].weight)
    nn.init.zeros_(head[6].bias)
    optimiser = torch.optim.SGD(head.parameters(), a.lr, momentum=0.9)
    loss_of = nn.CrossEntropyLoss()
    tr, va = torch.nonzero(split == 0).flatten(), torch.nonzero(split == 1).flatten()
    best, kept, stale = None, None, 0
    steps = math.ceil(len(tr) / a.batch)
    for epoch in range(a.epochs):
        head.train()
        order = tr[torch.randperm(len(tr), generator=generator)]
        for k in range(steps):
            rows = order[k * a.batch:(k + 1) * a.batch]
            for group in optimiser.param_groups:
                group["lr"] = a.lr * 0.5 * (1 + math.cos(math.pi * (epoch + k / steps) / a.epochs))
            optimiser.zero_grad()
            loss = loss_of(head(x[rows]), y[rows]) + 0.0005 * head[0].weight.square().sum()
            loss.backward()
            optimiser.step()
        head.eval()
        with torch.no_grad():
            z = head(x[va])
        accuracy, loss = (z.argmax(1) == y[va]).float().mean().item(), loss_of(z, y[va]).item()
        score = (-loss,) if a.select == "loss" else (accuracy, -loss)
        stale += 1
        if best is None or score > best:
            best, kept, stale = score, {k: v.clone() for k, v in head.state_dict().items()}, 0
        if a.patience and stale >= a.patience:
            break
    head.load_state_dict(kept)
    head.eval()
    te = torch.nonzero(split == 2).flatten()
    with torch.no_grad():
        return measures(head(x[te]).argmax(1), y[te], n_classes)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("--seeds", type=int, default=5)
    p.add_argument("--epochs", type=int, default=60)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--lr", type=float, default=0.01)
    p.add_argument("--patience", type=int, default=20)
    p.add_argument("--select", choices=["accuracy", "loss"], default="accuracy")
    p.add_argument("--predictions")
    a = p.parse_args()
    torch.set_num_threads(1)    # OpenBLAS's own threads and OpenMP's fight on so small a net
    rows = read_rows(a.folder + "/rows.tsv")
    x = torch.from_numpy(np.load(a.folder + "/features.npy"))
    classes = sorted({r["label"] for r in rows})
    y = torch.tensor([classes.index(r["label"]) for r in rows])
    # Validation and test know only pictures as they are, as in winnow.
    split = torch.tensor([{"train": 0, "val": 1, "test": 2}[r["split"]] if r["split"] == "train" or r["variant"] == "0" else 3 for r in rows])
    print("\t".join(["who", "seed", "accuracy", "balanced_accuracy"] + ["recall_" + c for c in classes]))

    def show(who, seed, m):
        print("\t".join([who, str(seed), "%.4f" % m[0], "%.4f" % m[1]] + ["%.4f" % r for r in m[2]]), flush=True)

    results = []
    for seed in range(1, a.seeds + 1):
        results.append(train(x, y, split, len(classes), seed, a))
        show("twin", seed, results[-1])
    mean = (np.mean([r[0] for r in results]), np.mean([r[1] for r in results]), np.mean([r[2] for r in results], axis=0))
    show("twin-mean", "", mean)
    if a.predictions:
        label_of = {r["path"]: r["label"] for r in rows if r["split"] == "test" and r["variant"] == "0"}
        ours = [r for r in read_rows(a.predictions) if r["path"] in label_of]
        if len(ours) != len(label_of):
            print("twin_head.py: %d of %d test pictures are in '%s'" % (len(ours), len(label_of), a.predictions), file=sys.stderr)
        m = measures(torch.tensor([classes.index(r["pred"]) for r in ours]),
                     torch.tensor([classes.index(label_of[r["path"]]) for r in ours]), len(classes))
        show("winnow", "", m)
        print("difference\t\t%.4f\t%.4f" % (m[0] - mean[0], m[1] - mean[1]))


if __name__ == "__main__":
    main()
