"""The words before a number that say what it is: `电话`, `card no.`, `order`. The nearest word decides.

The same digits are a telephone number after one word and an order number after another; where a checksum does not settle it, this does.
Words of languages with spaces are looked for as whole words, Chinese ones anywhere.
"""

import re

BEFORE_CHARS = 28
AFTER_CHARS = 12

_LATIN = {
    "id_card": "id card|id number|id no|identity card|identity number|identity|resident id",
    "passport": "passports?|passport|pasaporte|passeport|reisepass|passaporto|passnummer|travel document",
    "card": "card|credit|debit|visa|mastercard|amex|unionpay|account|acct|maestro|jcb",
    "phone": "telephone|tel|phones?|telefon|telefono|teléfono|téléphone|tél|mobile|mob|móvil|cell|cellphone|handy|call|calls|called|calling"
    "|dial|ring|fax|whatsapp|wechat|wa\\.me|sms|texted|text|hotline|contact|reach|landline|helpline",
    "address": "ip|ips|ipv4|ipv6|server|host|ping|dns|gateway|subnet|address|addr|ssh|proxy|client|whitelist|blocked",
    "other": "order|orders|invoice|tracking|parcel|shipment|isbn|issn|ean|upc|gtin|barcode|sku|serial|version|ver|v|firmware|release|build"
    "|commit|hash|sha|sha1|sha256|md5|uuid|guid|ticket|case|batch|lot|doi|pmid|arxiv|imei|model|part|ref|reference|transaction|txn|receipt"
    "|id|uid|qq|timestamp|epoch|price|population|views|section|chapter|clause|update|upgrade|upgraded|patch|score|items?|product",
}
_CHINESE = {
    "id_card": "身份证|身份證|身分证|身分證|公民身份|证件号|證件號",
    "passport": "护照|護照|通行证|通行證|回乡证|台胞证",
    "card": "银行卡|銀行卡|卡号|卡號|储蓄卡|儲蓄卡|借记卡|信用卡|银联|账号|帐号|帳號|账户|帐户|开户|转账|打款|工行|建行|农行|中行|招行",
    "phone": "手机|手機|电话|電話|致电|拨打|撥打|来电|联系|聯繫|聯絡|座机|热线|熱線|传真|傳真|短信|微信|客服|加我|打给|携帯",
    "address": "地址|服务器|伺服器|主机|网关|内网|外网|登录|代理|访问",
    "other": "订单|訂單|单号|單號|运单|快递|物流|发票|發票|条码|條碼|编号|編號|序列号|流水|版本|固件|哈希|批号|文号|工单|交易|型号|货号"
    "|群号|时间戳|浏览|播放|粉丝|价格|人口|书号|书刊|期号|升级|更新|章节|条款|比分|商品|考号|学号|准考证",
}
_WORD = re.compile(
    "|".join(
        f"(?P<{kind}>(?<![a-zà-ÿ_])(?:{latin})(?![a-zà-ÿ_])|{_CHINESE[kind]}"  # no word within another, nor within a pseudonym
        + (r"|[$€£¥￥第](?=\s*$)" if kind == "other" else "")
        + ")"
        for kind, latin in _LATIN.items()
    )
)

# `version 10.2.3.4 at 192.0.2.1`: what the word said it said of the first number.
_NEXT_SUBJECT = re.compile(r"[0-9][^0-9]*[a-z\u4e00-\u9fff]|[。；;！!？?\n]")


def context_of(text: str, start: int, end: int) -> str:
    """What the text says that the characters from `start` to `end` are.

    Args:
        text: The text, with full-width forms folded.
        start: First character.
        end: After the last character.

    Returns:
        `id_card`, `passport`, `card`, `phone`, `address` or `other` (an order, a version, a price …) by the nearest word before; else by
        a word in parentheses right after; else the empty text.
    """
    kind = ""
    window = text[max(start - BEFORE_CHARS, 0) : start].lower()
    for word in _WORD.finditer(window):
        kind = "" if word.lastgroup == "other" and _NEXT_SUBJECT.search(window, word.end()) else word.lastgroup or ""
    if kind or text[end : end + 2].lstrip()[:1] not in ("(", "（"):
        return kind
    after = _WORD.search(text[end : end + AFTER_CHARS].lower())
    return (after.lastgroup or "") if after else ""
