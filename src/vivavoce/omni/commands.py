"""Commands of this room; imports nothing heavy."""

from vivavoce.command import Command

COMMANDS: dict[str, Command] = {
    "train omni": Command(
        "vivavoce.omni.training.train_command:train", "train the trunk on the small world", extra="train"
    ),
    "train eye": Command("vivavoce.omni.training.eye_command:train", "teach the eye to name, before the trunk"),
    "train ear": Command(
        "vivavoce.omni.training.ear_command:train", "teach the ear alone to write down, before the trunk", extra="train"
    ),
    "train second-pass": Command(
        "vivavoce.omni.training.second_pass_command:train",
        "teach the second pass over an ear that stays",
        extra="train",
    ),
    "train language": Command(
        "vivavoce.omni.training.language_command:train",
        "teach the scribe's language model, on texts alone",
        extra="train",
    ),
    "train average": Command(
        "vivavoce.omni.training.average_command:average", "the mean of several runs' weights, to start others from"
    ),
    "train pack": Command("vivavoce.omni.training.pack_command:pack", "write a checkpoint from a run's newest state"),
    "train text": Command("vivavoce.omni.text.text_command:train_command", "learn the text tokenizer"),
    "eval text": Command("vivavoce.omni.text.text_command:eval_command", "measure a text tokenizer"),
    "train image": Command(
        "vivavoce.omni.images.image_command:train_command", "train the image tokenizer on drawn scenes", extra="train"
    ),
    "train judge": Command("vivavoce.omni.judges.judge_command:train_command", "train the judge of drawings"),
    "train codec": Command(
        "vivavoce.omni.codec.codec_command:train_command", "train the speech codec on one clean voice", extra="train"
    ),
    "eval codec": Command(
        "vivavoce.omni.codec.codec_command:eval_command", "compare the speech codec with the original", extra="judges"
    ),
    "eval voices": Command(
        "vivavoce.omni.judges.voices_command:eval_command", "measure the teacher voices", extra="judges"
    ),
    "eval images": Command("vivavoce.omni.images.image_command:eval_command", "measure an image tokenizer"),
    "eval judge": Command("vivavoce.omni.judges.judge_command:eval_command", "measure the judge of drawings"),
    "eval matrix": Command(
        "vivavoce.omni.evals.eval_command:matrix", "score every mix of inputs against every mix of outputs", "judges"
    ),
    "eval bars": Command(
        "vivavoce.omni.evals.eval_command:bars", "the tasks that the small world's bars are set on", "judges"
    ),
    "eval speech": Command(
        "vivavoce.omni.evals.eval_command:speech", "word error rates of hearing and speaking", "judges"
    ),
    "eval duplex": Command("vivavoce.omni.evals.eval_command:duplex", "turn-taking in live talk"),
    "eval turns": Command("vivavoce.omni.evals.eval_command:turns", "when it would take the turn, for each eagerness"),
    "eval manners": Command(
        "vivavoce.omni.evals.eval_command:manners", "declining what it must, answering what it may"
    ),
    "ask": Command("vivavoce.omni.ask_command:ask", "ask once, in any mix of text, sound, picture and film"),
    "talk": Command("vivavoce.omni.ask_command:talk", "ask a recorded spoken question and hear the answer"),
    "bench clock": Command("vivavoce.omni.clock_command:bench_clock", "time one clock step, samples in to samples out"),
}
