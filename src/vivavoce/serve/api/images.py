"""`POST /v1/images/generations`."""

from __future__ import annotations

import base64
import io
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from vivavoce.content import Conversation, Image, user
from vivavoce.omni.engine_protocol import AnswerRequest
from vivavoce.serve.api.answers import GuardedAnswer, collect
from vivavoce.serve.api.errors import ERRORS
from vivavoce.serve.api.shared import get_worker, run_decoding, send_events
from vivavoce.serve.settings import check_text
from vivavoce.serve.usage import DRAWING_STEPS
from vivavoce.serve.wire import WireError
from vivavoce.serve.worker import Worker

router = APIRouter(tags=["images"])
_MAX_SIDE_PIXELS = 2048


class ImageRequest(BaseModel):
    """A picture to draw. Fields of OpenAI's that are not here are taken and have no effect."""

    prompt: str = Field(min_length=1)
    model: str | None = None
    n: int | None = Field(None, ge=1, le=10)
    size: str | None = Field(None, description="`auto` (the model's own size) or WxH, to which the picture is scaled.")
    output_format: Literal["png", "jpeg", "webp"] | None = None
    response_format: Literal["b64_json", "url"] | None = Field(None, description="`url` gives a data URI.")
    stream: bool | None = None
    seed: int | None = None


class DrawnImage(BaseModel):
    """One picture."""

    b64_json: str | None = None
    url: str | None = None


class DrawingDetails(BaseModel):
    """Steps, by kind."""

    text_tokens: int
    image_tokens: int


class DrawingUsage(BaseModel):
    """Steps of the model: the description read, the pictures drawn and what was written before them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: DrawingDetails
    output_tokens_details: DrawingDetails


class Images(BaseModel):
    """The pictures, in order."""

    created: int
    data: list[DrawnImage]
    size: str
    output_format: str
    usage: DrawingUsage


@router.post(
    "/v1/images/generations",
    response_model=Images,
    responses={**ERRORS, 200: {"description": "The pictures", "content": {"text/event-stream": {}}}},
)
async def draw_images(body: ImageRequest, request: Request):
    """Draw pictures of a description. The model draws at its own size; larger ones are scaled, not finer."""
    worker = get_worker(request)
    if "image" not in worker.engine.modalities_out:
        raise WireError("this model draws no pictures", param="model")
    check_text(body.prompt, "prompt", worker.limits.max_text_chars)
    size = read_size(body.size)
    answers = [_make_answer(worker, body, idx) for idx in range(min(body.n or 1, worker.limits.max_images))]
    if body.stream:
        await answers[0].start()
        return StreamingResponse(send_events(_stream(answers, body, size)), media_type="text/event-stream")
    images: list[Image] = []
    for answer in answers:
        images.append(await _draw(answer))
    shown = await run_decoding(lambda: [_show(image, body, size) for image in images])
    height, width = images[0].pixels.shape[:2]
    return JSONResponse(
        {
            "created": int(time.time()),
            "data": shown,
            "size": body.size if size else f"{width}x{height}",
            "output_format": body.output_format or "png",
            "usage": _sum_usage(answers),
        }
    )


def read_size(size: str | None) -> tuple[int, int] | None:
    """Width and height in pixels; None for the model's own. Raises: WireError."""
    if size in (None, "auto"):
        return None
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", size)
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if not found or not min(width, height) >= 16 or max(width, height) > _MAX_SIDE_PIXELS or width % 16 or height % 16:
        raise WireError(
            f"size is {size!r:.40}; need auto, or WxH with sides of 16 to {_MAX_SIDE_PIXELS} divisible by 16",
            param="size",
        )
    if max(width, height) > 3 * min(width, height):
        raise WireError(f"size is {size!r}; at most three times as long as wide", param="size")
    return width, height


def _make_answer(worker: Worker, body: ImageRequest, idx: int) -> GuardedAnswer:
    drawn = AnswerRequest(
        conversation=Conversation((user(body.prompt),)),
        outputs=frozenset({"image"}),
        task="draw",
        seed=((body.seed if body.seed is not None else time.time_ns()) + idx) % 2**31,
    )
    return GuardedAnswer(worker, drawn)


async def _draw(answer: GuardedAnswer, *, is_started: bool = False) -> Image:
    if not is_started:
        await answer.start()
    _, _, images = await collect(answer)
    if answer.refusal is not None:
        raise WireError(answer.refusal, code="content_filter", param="prompt")
    if not images:
        raise WireError("the model drew nothing for this prompt; describe a picture", code="no_image", param="prompt")
    return images[0]


async def _stream(answers: list[GuardedAnswer], body: ImageRequest, size: tuple[int, int] | None) -> AsyncIterator[str]:
    for idx, answer in enumerate(answers):
        image = await _draw(answer, is_started=idx == 0)
        shown = await run_decoding(_show, image, body.model_copy(update={"response_format": "b64_json"}), size)
        height, width = image.pixels.shape[:2]
        yield json.dumps(
            {
                "type": "image_generation.completed",
                **shown,
                "created_at": int(time.time()),
                "size": body.size if size else f"{width}x{height}",
                "output_format": body.output_format or "png",
                "quality": "auto",
                "background": "opaque",
                "usage": _sum_usage([answer]),
            }
        )


def _sum_usage(answers: list[GuardedAnswer]) -> dict[str, Any]:
    """A prompt is text; what is made of it are pictures, and the model's words to itself of what they will be."""
    num_in = sum(answer.usage.num_in for answer in answers)
    num_out = sum(answer.usage.num_out for answer in answers)
    num_drawn = min(num_out, DRAWING_STEPS * len(answers))
    return {
        "input_tokens": num_in,
        "output_tokens": num_out,
        "total_tokens": num_in + num_out,
        "input_tokens_details": {"text_tokens": num_in, "image_tokens": 0},
        "output_tokens_details": {"text_tokens": num_out - num_drawn, "image_tokens": num_drawn},
    }


def _show(image: Image, body: ImageRequest, size: tuple[int, int] | None) -> dict[str, str]:
    from PIL import Image as Pillow

    picture = Pillow.fromarray(image.pixels)
    if size is not None:
        picture = picture.resize(size, Pillow.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, body.output_format or "png")
    data = base64.b64encode(buffer.getvalue()).decode()
    if body.response_format == "url":
        return {"url": f"data:image/{body.output_format or 'png'};base64,{data}"}
    return {"b64_json": data}
