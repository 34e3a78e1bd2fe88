"""The running transcript of the user: what it belongs to, when it is whole, and sessions that only transcribe."""

import base64
from dataclasses import replace

from vivavoce.serve.hearing import Transcripts
from vivavoce.serve.scripted_engine import ScriptedEngine

from .conftest import Talk, error_of


def test_the_transcript_completes_after_the_turn_and_joins_the_item(talk):
    talk.configure(type="server_vad")
    talk.speak(0.9)
    talk.silence(4.0)
    done = talk.last("conversation.item.input_audio_transcription.completed")
    deltas = "".join(e["delta"] for e in talk.of("conversation.item.input_audio_transcription.delta"))
    assert done["transcript"] == deltas.strip() == "la la la"
    assert talk.names.index("conversation.item.done") < talk.names.index(
        "conversation.item.input_audio_transcription.delta"
    )
    item = talk.send("conversation.item.retrieve", item_id=done["item_id"])[0]["item"]
    assert item["content"][0]["transcript"] == "la la la"
    assert len(base64.b64decode(item["content"][0]["audio"])) / 48_000 > 0.9


def test_minimal_delay_streams_the_transcript_while_the_user_speaks(talk):
    heard = {"turn_detection": {"type": "server_vad"}, "transcription": {"model": "own", "delay": "minimal"}}
    talk.send("session.update", session={"type": "realtime", "audio": {"input": heard}})
    talk.speak(1.6)
    deltas = talk.of("conversation.item.input_audio_transcription.delta")
    assert deltas
    assert {event["item_id"] for event in deltas} == {talk.last("input_audio_buffer.speech_started")["item_id"]}
    talk.silence(3.0)
    text = "".join(e["delta"] for e in talk.of("conversation.item.input_audio_transcription.delta")).strip()
    assert text == talk.last("conversation.item.input_audio_transcription.completed")["transcript"]


def test_without_transcription_no_transcript_is_sent(talk):
    talk.speak(0.9)
    talk.silence(4.0)
    assert not [name for name in talk.names if "transcription" in name]


def test_a_transcription_session_only_transcribes():
    talk = Talk(kind="transcription")
    heard = {"transcription": {"model": "own"}, "turn_detection": {"type": "server_vad"}}
    talk.send("session.update", session={"type": "transcription", "audio": {"input": heard}})
    assert talk.last("session.updated")["session"]["type"] == "transcription"
    talk.speak(0.9)
    talk.silence(3.0)
    assert talk.last("conversation.item.input_audio_transcription.completed")["transcript"] == "la la la"
    assert not talk.of("response.created")
    assert error_of(talk.send("response.create"))["code"] == "invalid_state"


class SecondThoughts(ScriptedEngine):
    """Knows in the end, four quiet steps after a word, that the user said something else."""

    quiet_steps = 9

    def step(self, inputs):
        outputs = super().step(inputs)
        for slot, output in outputs.items():
            self.quiet_steps = 0 if output.user_text else self.quiet_steps + 1
            if self.quiet_steps == 4:
                outputs[slot] = replace(output, settled_text="something else.")
        return outputs


def test_a_whole_transcript_has_the_words_that_are_known_in_the_end():
    talk = Talk(engine=SecondThoughts(2))
    talk.configure(type="server_vad")
    talk.speak(0.9)
    talk.silence(4.0)
    done = talk.last("conversation.item.input_audio_transcription.completed")
    deltas = "".join(e["delta"] for e in talk.of("conversation.item.input_audio_transcription.delta"))
    assert (deltas.strip(), done["transcript"]) == ("la la la", "something else.")
    item = talk.send("conversation.item.retrieve", item_id=done["item_id"])[0]["item"]
    assert item["content"][0]["transcript"] == "something else."


def test_what_is_known_in_the_end_stands_for_what_was_told_since_the_last_end():
    pieces = Transcripts()
    for delta in ("one", " two"):
        assert pieces.add(delta) is None
    pieces.settle("won to.")
    pieces.add(" three")
    assert pieces.early_text == "won to. three"
    assert pieces.commit("item_1") == "won to. three"
    assert pieces.add(" four") == "item_1"
    pieces.settle("free four.")
    assert pieces.close() == ("item_1", "won to. free four.")


def test_an_utterance_that_two_turns_share_keeps_the_words_as_they_were_told():
    pieces = Transcripts()
    pieces.add("one two")
    pieces.commit("item_1")
    assert pieces.close() == ("item_1", "one two")
    pieces.add(" three")
    pieces.settle("won to free.")
    assert pieces.early_text == "three"
    pieces.add(" four")
    pieces.settle("for.")
    assert pieces.early_text == "three for."
