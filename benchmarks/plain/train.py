"""The usual way: torchvision's ImageFolder, a DataLoader, MLflow's calls in between; tests the model as well."""

import json
from pathlib import Path

import mlflow
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

EPOCHS, BATCH, RATE, WIDTH = 10, 32, 0.02, 24


def block(inputs, outputs, stride):
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


@torch.no_grad()
def score(network, loader):
    network.eval()
    right, loss, seen = 0, 0.0, 0
    for images, labels in loader:
        logits = network(images)
        right += (logits.argmax(1) == labels).sum().item()
        loss += functional.cross_entropy(logits, labels, reduction="sum").item()
        seen += len(labels)
    return right / seen, loss / seen


torch.manual_seed(1)
mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.set_experiment("plain")
steps = transforms.Compose([transforms.Grayscale(), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)])
loaders = {
    split: DataLoader(ImageFolder(f"data/{split}", steps), BATCH, shuffle=split == "train")
    for split in ("train", "val", "test")
}
network = nn.Sequential(
    block(1, WIDTH, 1),
    block(WIDTH, 2 * WIDTH, 2),
    block(2 * WIDTH, 4 * WIDTH, 2),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Dropout(0.1),
    nn.Linear(4 * WIDTH, 10),
)
optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=0.01)
schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=EPOCHS * len(loaders["train"]))
with mlflow.start_run(run_name="train"):
    mlflow.log_params({"lr": RATE, "epochs": EPOCHS, "batch_size": BATCH, "seed": 1})
    for epoch in range(EPOCHS):
        network.train()
        for images, labels in loaders["train"]:
            loss = functional.cross_entropy(network(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        accuracy, mean = score(network, loaders["val"])
        mlflow.log_metrics({"val_accuracy": accuracy, "val_loss": mean}, step=epoch + 1)
    accuracy, mean = score(network, loaders["test"])
    mlflow.log_metrics({"test_accuracy": accuracy, "test_loss": mean})
    logged = mlflow.pytorch.log_model(
        network, name="model", serialization_format="pickle", pip_requirements=["torch", "torchvision"]
    )
    Path("run.json").write_text(json.dumps({"uri": logged.model_uri}))
