from typing import get_args

import pytest

from app.clips import ClipName, clip
from app.errors import SetupError
from app.sim.loudness import VoiceActivity
from app.sim.voices import FRAME_BYTES, say

WORDS = {
    "one_moment": "One moment please.",
    "interrupted": "One moment, the line was interrupted.",
}


@pytest.mark.parametrize("name", get_args(ClipName))
def test_every_clip_is_there_and_says_its_words_in_whole_frames(name: ClipName) -> None:
    audio = clip(name)
    assert len(audio) % FRAME_BYTES == 0
    assert audio == say(WORDS[name])
    assert "started" in [VoiceActivity().feed(audio[:4000])]


def test_a_clip_that_is_not_there_says_which_file_to_restore() -> None:
    with pytest.raises(SetupError, match=r"'applause' cannot be read .* restore .*applause\.ulaw"):
        clip("applause")  # type: ignore[arg-type]
