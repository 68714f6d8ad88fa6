"""The cleaning stage made of stock libraries, one after the other: the peer of `benchmarks.cleaning`.

ftfy on every text, lingua for its language, Presidio's pattern recognizers for personal data, jieba for its words, and datasketch for near
duplicates of what came before. It does less than the stage: no quality rules, no exact duplicates, nothing verified or replaced, no stems,
no tables. None of these libraries but ftfy is a dependency: `pip install lingua-language-detector presidio-analyzer==2.2.366 jieba
"datasketch==2.0.*"`.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from benchmarks.pii import presidio

MODULES = {"lingua": "lingua-language-detector", "presidio_analyzer": "presidio-analyzer", "jieba": "jieba", "datasketch": "datasketch"}
SHINGLE_WORDS = 3


def missing_packages() -> list[str]:
    """The packages that have to be installed for the peer."""
    return [package for module, package in MODULES.items() if not find_spec(module)]


def stock_steps() -> dict[str, Callable[[list[str]], object]]:
    """Each step by its library, all of them loaded and warm."""
    fix_text: Callable[[str], str] = import_module("ftfy").fix_text
    lingua = import_module("lingua")
    detector = lingua.LanguageDetectorBuilder.from_all_languages().with_preloaded_language_models().build()
    find_personal_data, cut = presidio(), import_module("jieba").lcut_for_search
    assert find_personal_data is not None
    cut("预热")
    return {
        "ftfy": lambda texts: [fix_text(text) for text in texts],
        "lingua": lambda texts: [detector.detect_language_of(text) for text in texts],
        "Presidio patterns": lambda texts: [find_personal_data(text) for text in texts],
        "jieba": lambda texts: [cut(text) for text in texts],
        "datasketch": lambda texts: find_near_duplicates(import_module("datasketch"), texts),
    }


def find_near_duplicates(library: ModuleType, texts: list[str]) -> int:
    """How many texts found an earlier one: shingles of three words, or of three characters where there is no space."""
    index, found = library.MinHashLSH(threshold=0.8, num_perm=128), 0
    words = (text.split() if " " in text else list(text) for text in texts)
    shingles = (
        [" ".join(each[place : place + SHINGLE_WORDS]).encode() for place in range(len(each) - SHINGLE_WORDS + 1)] for each in words
    )
    for number, signature in enumerate(library.MinHash.generator(shingles, num_perm=128)):
        found += bool(index.query(signature))
        index.insert(number, signature)
    return found
