"""Why a label is doubted, in words: English, or Chinese where the project's first language is Chinese."""

from collections.abc import Mapping

from assets.label_studio import Language

_WORDS: Mapping[str, Mapping[Language, str]] = {
    "people": {"en": "{agreed} of {voted} people said {label}", "zh": "{voted} 人中有 {agreed} 人说是 {label}"},
    "nobody": {"en": "nobody but rules said {label}", "zh": "只有规则说是 {label}，没有人确认"},
    "model": {
        "en": "a model that never saw this text says {other} ({probability:.2f}; {label} {own:.2f})",
        "zh": "没有见过这段文本的模型认为是 {other}（{probability:.2f}；{label} 为 {own:.2f}）",
    },
    "neighbours": {
        "en": "of its {count} nearest texts {alike} are {label} and {others} are {other}",
        "zh": "与它最接近的 {count} 段文本中，{alike} 段是 {label}，{others} 段是 {other}",
    },
    "duplicate": {
        "en": "an almost identical text (document {twin}, cosine {cosine:.2f}) is labelled {other}",
        "zh": "一段几乎相同的文本（文档 {twin}，余弦 {cosine:.2f}）的标签是 {other}",
    },
    "vote": {
        "en": "{annotator} said {label}; the other votes and a model that never saw this text say {other} ({probability:.2f})",
        "zh": "{annotator} 说是 {label}；其他投票和没有见过这段文本的模型都认为是 {other}（{probability:.2f}）",
    },
    "people_list": {"en": "{agreed} of {voted} people gave exactly this answer", "zh": "{voted} 人中有 {agreed} 人给出完全相同的答案"},
    "no_people": {"en": "nobody but rules gave this answer", "zh": "只有规则给出这个答案，没有人确认"},
    "label_missing": {
        "en": "a model that never saw this text says {label} too ({probability:.2f})",
        "zh": "没有见过这段文本的模型认为还有 {label}（{probability:.2f}）",
    },
    "label_unlikely": {
        "en": "a model that never saw this text does not say {label} ({probability:.2f})",
        "zh": "没有见过这段文本的模型认为不是 {label}（{probability:.2f}）",
    },
    "span_missing": {
        "en": "a model that never saw this text marks characters {start} to {end} as {label} ({probability:.2f})",
        "zh": "没有见过这段文本的模型把第 {start} 到 {end} 个字符标为 {label}（{probability:.2f}）",
    },
    "span_unlikely": {
        "en": "a model that never saw this text does not mark characters {start} to {end} as {label}",
        "zh": "没有见过这段文本的模型没有把第 {start} 到 {end} 个字符标为 {label}",
    },
}
_BETWEEN: Mapping[Language, str] = {"en": "; ", "zh": "；"}
_END: Mapping[Language, str] = {"en": ".", "zh": "。"}


def say(kind: str, language: Language, **facts: object) -> str:
    """One clause."""
    return _WORDS[kind][language].format(**facts)


def sentence(clauses: list[str], language: Language) -> str:
    """The clauses as one sentence."""
    joined = _BETWEEN[language].join(clauses)
    return joined[:1].upper() + joined[1:] + _END[language]
