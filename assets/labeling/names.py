"""Finds names by how they are written: capitalized words of English, surnames with a title in Chinese.

A word at the beginning of a sentence is capitalized anyway, so it counts only with a title before it or as the first of several
capitalized words. This misses names and takes some brands and places for names: it is a labeling function, no truth.
"""

import re
from collections.abc import Iterator
from functools import cache

_TITLE = (
    r"(?:Mr|Mrs|Ms|Dr|Prof|Sen|Gov|Gen|Rep|St)\.|Mr|Mrs|Ms|Dr|President|Senator|Governor|Justice|Judge|Professor|King|Queen|Prince|Sir|Pope"
)
_WORD = r"(?:O['’]|D['’])?(?:[A-Z][a-zà-öø-ÿ]+)+(?:-(?:[A-Z][a-zà-öø-ÿ]+)+)*(?![\w])"
_INITIAL = r"[A-HJ-Z]\."
_LINK = r"(?:of the|of|de|del|van|von|der|al|bin)"
_BEFORE = r"(?<![\w@#'’/.&-])"
CANDIDATES = re.compile(
    rf"{_BEFORE}(?:(?P<title>{_TITLE}) )?(?P<name>(?:{_INITIAL} ?)*{_WORD}(?: ?{_INITIAL})*(?: (?:{_LINK} )?{_WORD}(?: {_INITIAL})*)*)"
)
WORDS = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
# What stands before a word in the middle of a sentence.
_MIDDLE = re.compile(r"(?:[a-zà-öø-ÿ0-9][,)]?|,|&) $|[a-z]['’]s $")
_ADDRESSED = re.compile(r"(?:^|\s)(?:[@#]|https?:|www\.)\S*\s+$")
# Share of capitalized words from which capitals mean nothing, as in headlines.
_HEADLINE_SHARE = 0.75
_HEADLINE_WORDS = 4
_NO_NAMES = frozenset(
    """
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october
    november december jan feb mar apr jun jul aug sep sept oct nov dec
    christmas xmas easter halloween thanksgiving god lord jesus christ internet english american americans british french
    german chinese japanese russian european iraqi iranian israeli african mexican indian muslim muslims jewish christian christians
    republican republicans democrat democrats democratic happy good great best love thanks thank please sorry wow yes yeah nope okay hey
    hello hi haha lol omg wtf gonna gotta cool nice awesome amazing big new old first last next one two three day morning night movie film
    camera phone player product review update news follow check watch watching listening playing going getting back bad worst better
    top free live breaking video photo pic dear merry welcome congrats congratulations check read reading see look looking let lets
    just still never always even maybe hope glad sad tired bored stupid damn shit fuck fucking hell wish want need feel feeling
    yay ugh president mayor governor senator editor speaker representative minister commissioner adm federal congressional state states
    city county court house street road company agent experts online
    home work school today tonight tomorrow yesterday week weekend year time people guy guys girl girls boy boys man men woman women mom
    mum dad mommy daddy baby sir madam dude bro pros cons pro con overall bottom line rating edit note ps part parts button mode auto manual
    """.split()
)
# These begin no name, wherever they stand; of other ordinary words a name may well be made: New York, United States.
_OPENERS = frozenset(
    """
    the a an and but or if in on at for from to of as by with my your his her its our their this that these those i we you he she it they
    so what when where why how who is are was were do does did don't no not can could will would should
    """.split()
)
_ALWAYS_WHOLE = frozenset("new united south north west east san los las saint great".split())
_SURNAMES = (
    "欧阳|司马|诸葛|上官|东方|皇甫|王|李|张|刘|陈|杨|赵|黄|周|吴|徐|孙|胡|朱|高|林|何|郭|马|罗|梁|宋|郑|谢|韩|唐|冯|于|董|萧|程|曹|袁|邓|许|傅|沈|曾|彭|吕"
    "|苏|卢|蒋|蔡|贾|丁|魏|薛|叶|阎|余|潘|杜|戴|夏|钟|汪|田|任|姜|范|方|石|姚|谭|廖|邹|熊|金|陆|郝|孔|白|崔|康|毛|邱|秦|江|史|顾|侯|邵|孟|龙|万|段|雷|钱|汤|尹"
    "|黎|易|常|武|乔|贺|赖|龚|文"
)
_TITLES_ZH = "先生|女士|小姐|老师|教授|博士|医生|律师|经理|总统|主席|总理|部长|市长|局长|院士|同学|师傅|导演|记者"
NAMES_ZH = re.compile(rf"(?:{_SURNAMES})(?P<given>[\u4e00-\u9fff]{{0,2}}?)(?P<title>{_TITLES_ZH})")
# What is not a given name: it holds one of these characters, or is an ordinary word together with the surname.
_NO_GIVEN = re.compile("[的了是在我你他她它们这那个和与跟给对被把让叫请问见向从到说有没不也都很就还又再吗呢吧啊哦]")
_WORDS_ZH = frozenset(
    """
    高兴 高级 高中 高手 方便 方面 任何 任务 于是 万一 石头 钱包 江湖 史上 常常 常用 何况 何必
    白天 白色 夏天 夏季 秋天 周末 周边 金钱 金牌 黄金 黄色
    马上 段子 文化 文明 田里 谢谢 毛病 康复 易于 乔装 龙头 雷人 叶子 万分 安全 张口 许多 罗列 温和 平常 时候
    """.split()
)


def find_names(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of every name."""
    yield from _find_capitalized(text)
    yield from _find_chinese(text)


def _find_capitalized(text: str) -> Iterator[tuple[int, int]]:
    if _is_headline(text):
        return
    for found in CANDIDATES.finditer(text):
        start, end = found.span("name")
        if found["title"]:
            yield start, end
            continue
        start, end = _trim(text, start, end)
        words = text[start:end].split()
        if words and (_is_in_the_middle(text, start) or len(words) > 1):
            yield start, end


def _find_chinese(text: str) -> Iterator[tuple[int, int]]:
    """`王小明先生` is the name 王小明; `王先生` is named with the title."""
    for found in NAMES_ZH.finditer(text):
        named = text[found.start() : found.end("given")]
        if named not in _WORDS_ZH and not _NO_GIVEN.search(found["given"]):
            yield found.start(), found.end("given") if found["given"] else found.end()


def _is_headline(text: str) -> bool:
    words = [word for word in WORDS.findall(text) if word[0].isascii()]
    return len(words) >= _HEADLINE_WORDS and sum(word[0].isupper() for word in words) > _HEADLINE_SHARE * len(words)


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    """The candidate without the words before it that are capitalized for another reason; nothing when only such words are left."""
    pieces = [(start + found.start(), start + found.end()) for found in re.finditer(r"\S+", text[start:end])]
    is_first = not _is_in_the_middle(text, start)
    while pieces and _begins_no_name([text[slice(*piece)].lower() for piece in pieces], is_first):
        pieces.pop(0)
    if all(_is_ordinary(text[slice(*piece)]) for piece in pieces):
        return start, start
    return pieces[0][0], pieces[-1][1]


def _begins_no_name(words: list[str], is_first: bool) -> bool:
    if words[0] in _ALWAYS_WHOLE and len(words) > 1:
        return False
    return words[0] in _OPENERS or (_is_ordinary(words[0]) and (is_first or len(words) == 1))


def _is_ordinary(word: str) -> bool:
    return word.lower() in _NO_NAMES or word.lower() in _stop_words()


def _is_in_the_middle(text: str, start: int) -> bool:
    """Whether a word is neither the first of a sentence nor the first after somebody was addressed."""
    before = text[max(0, start - 60) : start]
    return bool(_MIDDLE.search(before)) and not _ADDRESSED.search(before)


@cache
def _stop_words() -> frozenset[str]:
    """English function words; the list is loaded on first use."""
    from stopwordsiso import stopwords

    return frozenset(stopwords("en"))
