"""`viva train image`, `viva eval images`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vivavoce.files import write_json
from vivavoce.omni.checkpoint import find_images_folder
from vivavoce.omni.images.evaluation import ImageReport, measure_tokenizer
from vivavoce.omni.images.network import ImageTokenizer
from vivavoce.omni.images.training import make_config, train, with_steps
from vivavoce.omni.judges.drawing import DrawingJudge


def train_command(
    *,
    preset: str = "nano",
    run: Path = Path("runs/images"),
    resume: bool = False,
    steps: int | None = None,
    start_from: Path | None = None,
) -> None:
    """Train the image tokenizer on drawn scenes.

    Args:
        preset: nano, nano-clean and nano-decoder (its second and third stage), small or tiny.
        run: run directory; the finished tokenizer is written into it.
        resume: go on with a run that was stopped.
        steps: train for another number of steps than the preset's.
        start_from: folder of a tokenizer whose weights to start from, instead of the preset's.
    """
    config = with_steps(make_config(preset), steps)
    if start_from is not None:
        config = replace(config, start_from=str(start_from))
    folder = train(config, run, resume=resume)
    print(f"image tokenizer written to {folder}")


def eval_command(
    *,
    tokenizer: Path = Path("checkpoints/nano"),
    json: Path | None = None,
    pictures: int = 700,
    seed: int = 0,
    without_judge: bool = False,
) -> None:
    """Measure an image tokenizer on held-out drawings.

    Args:
        tokenizer: folder that holds it, or a checkpoint's.
        json: write the measures to this file too.
        pictures: plain and clean drawings to measure on, each.
        seed: of the scenes.
        without_judge: leave out what needs the judge of drawings.
    """
    judge = None if without_judge else DrawingJudge.load()
    report = measure_tokenizer(
        ImageTokenizer.load(find_images_folder(tokenizer) or tokenizer), judge, num_pictures=pictures, seed=seed
    )
    if json is not None:
        write_json(json, report.to_json())
    _print_report(report)


def _print_report(report: ImageReport) -> None:
    print(f"PSNR, plain test drawings   {report.psnr_db} dB")
    print(f"PSNR, clean test drawings   {report.psnr_clean_db} dB")
    print(f"SSIM, plain test drawings   {report.ssim}")
    print(f"codes used                  {report.code_use:.1%} of the book, perplexity {report.perplexity:.0f}")
    if report.attributes_original is None or report.attributes_made is None:
        return
    print("what the judge finds right   original -> rebuilt")
    for name, original in report.attributes_original.items():
        print(f"  {name:<18} {original}  ->  {report.attributes_made[name]}")
