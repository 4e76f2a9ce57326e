"""Draws what growth.py has measured: CPU seconds and memory by the number of records.

    python benchmarks/plot.py growth.json benchmarks/growth.svg

Run with a project's own Python, which has matplotlib. The colours can be read on white and on black.
"""

import argparse
import json
from pathlib import Path

STEPS = {  # how each is called, its colour and its mark
    "preprocess": ("preprocess", "#e07b00", "o"),
    "load": ("loading for train", "#2f8fd0", "s"),
    "push": ("push to S3", "#1f9e77", "^"),
    "verify": ("verify --rehash", "#d0508f", "D"),
    "audit": ("audit, first", "#8a6fd8", "v"),
    "audited": ("audit, again", "#8a6fd8", "x"),
}
GREY = "#808080"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figures", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    draw(json.loads(options.figures.read_text()), options.picture)


def draw(measured, picture):
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "growth", "font.family": "sans-serif", "font.size": 10}
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, (times, memory) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for axes, key, unit, title in ((times, "cpu", 1, "CPU, seconds"), (memory, "memory", 2**20, "memory, MiB")):
        for step, (name, colour, mark) in STEPS.items():
            points = [(each["records"], each[key] / unit) for each in measured["figures"] if each["step"] == step]
            if points:
                dashes = "--" if mark == "x" else "-"
                axes.plot(
                    *zip(*points, strict=True),
                    dashes,
                    color=colour,
                    marker=mark,
                    linewidth=1.6,
                    markersize=5,
                    label=name,
                )
        axes.set(xscale="log", yscale="log", xlabel="records")
        axes.set_title(title, color=GREY, fontsize=10)
        axes.grid(color=GREY, alpha=0.25, linewidth=0.5)
        axes.tick_params(which="both", colors=GREY)
        axes.xaxis.label.set_color(GREY)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if key == "memory" else (1,)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.spines[:].set_color(GREY)
    handles, names = times.get_legend_handles_labels()
    legend = figure.legend(handles, names, loc="outside right center", frameon=False, labelcolor=GREY)
    legend.set_title("")
    figure.savefig(picture, transparent=True, metadata={"Date": None})


if __name__ == "__main__":
    main()
