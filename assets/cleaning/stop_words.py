"""The words that carry no topic and no opinion: left out of tokens.

How tokens are made is in `tokens.py`.

The English and Chinese lists are our own, of closed word classes only (articles, pronouns, prepositions, conjunctions, auxiliaries,
particles). The lists of `stopwordsiso` for these two also hold content words (good, great, best, problem, microsoft, world; 好, 看, 大),
so that a search for them would find nothing and a baseline could not see an opinion. Other languages take `stopwordsiso` as it is.

Negations stay everywhere: without them "not good" is "good", 不好 is 好. So do words of degree (very, 很, 太).
"""

from functools import cache

from assets.cleaning.words import NEGATIONS

_ENGLISH = frozenset(
    "a an the this that these those i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his "
    "himself she her hers herself it its itself they them their theirs themselves who whom whose which what and or but if because "
    "as while of at by for with about into through during to from in on than then so am is are was were be been being have has had "
    "having do does did doing will would shall should can could may might must there here when where why how also just each both "
    "such own same s t d ll m re ve i'm i've i'd i'll you're you've you'd you'll he's he'd he'll she's she'd she'll it's it'd it'll "
    "we're we've we'd we'll they're they've they'd they'll that's who's what's there's here's let's".split()
)

_CHINESE = frozenset(
    "的 了 着 过 地 得 吗 呢 吧 啊 呀 嘛 哦 么 我 你 您 他 她 它 我们 咱们 你们 他们 她们 它们 自己 这 那 这个 那个 "
    "这些 那些 这里 那里 这样 那样 这么 那么 什么 怎么 是 在 有 和 与 及 或 或者 而 而且 并 并且 但 但是 却 因为 所以 "
    "因此 如果 虽然 然后 于是 也 又 还 就 都 才 被 把 给 对 对于 关于 从 向 到 由 以 为 为了 于 之 其 等 个 一个 "
    "一些 上 下 中 里 会 能 可以 要".split()
)


@cache
def stop_words(language: str) -> frozenset[str]:
    """The stop words of a language, lower-cased, without negations; none for a language without a list.

    Args:
        language: ISO 639-1 code. `en`, `zh` and `und` share one list, since Chinese text is full of English words and queries are mixed.
    """
    if language in ("en", "zh", "und"):
        return (_ENGLISH | _CHINESE) - NEGATIONS
    import stopwordsiso  # not while definitions load

    if stopwordsiso.has_lang(language):
        return frozenset(stopwordsiso.stopwords(language)) - NEGATIONS
    return frozenset()
