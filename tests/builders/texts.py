"""Texts that tokenizers stumble over, and a hypothesis strategy for more of them."""

from __future__ import annotations

from hypothesis import strategies as st

from builders.tokenizers import SENTENCES

TEXTS = (
    "",
    "a",
    " ",
    "   ",
    "\n",
    "\n\n\n",
    " \n \n\n \t\t x",
    "Human: 你好，请介绍一下你自己。\n\nAssistant:",
    "你好，世界！今天的天气怎么样？",
    "我想在apple工作1314151天～",
    "The quick brown fox; it's 3.14 o'clock.",
    "1234567890 0.5 1,000,000 2023-05-09",
    "🚀 (normal) 😶\u200d🌫️ 🦙🦙 👩\u200d👩\u200d👧",
    "\u3000全角\u3000空格\u00a0\u2003x",
    "next\u0085line \u2028 sep \u2029 end\u200b",
    "a\r\nb\rc\td\x0be\x0cf\x1cg",
    "  leading and trailing  ",
    "(x|y)[z]{w}。。。，，、！!??…",
    "नमस्ते। शुभ प्रभात، مرحبا۔",
    "e\u0301 é ﬁ Å \ufeffbom",
    "\u2581marked\u2581 ▁▁",
    "def f(x):\n    return x  # 注释\n",
    "漢字かな交じり文。한국어 문장",
    "<s> </s> <unk> <0x41>",
    "\U0010ffff\ue000\x01\x7f",
    *SENTENCES,
)


def mixed_text() -> st.SearchStrategy[str]:
    """Any text without surrogates or NUL, often with spaces, Chinese, punctuation and line ends."""
    usual = st.sampled_from(
        [*"abzAZ019 .,!?|()。，！？、…\n\t\r你好的是了吗\u3000\u00a0🚀é", "  ", "\n\n", "the "]
    )
    anything = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.lists(st.one_of(usual, usual, usual, anything), max_size=40).map("".join)
