"""What pages, programs and advertisers write again and again, English and Chinese: boilerplate, automatic texts, advertising, stop words.

Refusing texts for it does not belong here (see `rules.py`), nor does counting it (see `statistics.py`).
"""

import re

# Words of which ordinary prose of 50 words holds several: Rae et al. 2021 (Gopher), appendix A1, for English.
STOP_WORDS = {
    "en": frozenset("the be to of and that have with is was for on it in a i".split()),
    "zh": frozenset("的是在了和有不我这一就也都人个"),
}


def _any_of(*expressions: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile("|".join(expressions), flags)


# All but the automatic texts are searched for in lower-case text, and each alternative begins with a character as it is: a search then
# leaps from one of these characters to the next.

# Lines of a page that are not its text. The English ones extend the policy filter of C4 (Raffel et al. 2020, section 2.2).
BOILERPLATE = _any_of(
    r"lorem ipsum",
    r"enable javascript|requires? javascript|turn on javascript|javascript (?:must be|is) (?:enabled|disabled)",
    r"uses? (?:all )?cookies|accept (?:all )?cookies|cookie (?:policy|settings)",
    r"privacy policy|terms of (?:use|service)|all rights reserved",
    r"sign up for our newsletter|subscribe to our|share (?:this|on) (?:facebook|twitter)|skip to (?:main )?content",
    r"click here to (?:read|continue)",
    r"启用\s?javascript|支持\s?javascript|隐私(?:政策|声明)|用户协议|服务条款|版权所有|保留所有权利|未经(?:书面)?授权|禁止转载|转载请注明",
    r"点击(?:查看|阅读)(?:更多|全文)|返回(?:首页|顶部)|上一篇|下一篇|扫码关注|关注(?:我们的)?公众号|icp备|责任编辑",
)

# Whole texts that a program wrote in the name of a person.
AUTOMATIC = _any_of(
    r"(?:i )?(?:just )?posted a (?:new )?(?:photo|video)\b.{0,80}",
    r"i (?:liked|added|favou?rited) a @?youtube (?:video|playlist)\b.*",
    r"i'm at .{1,80} \(?in .{1,60}",
    r"(?:my|today's|this week's?) (?:daily |weekly )?(?:twitter )?stats\b.*",
    r"(?:this is an )?automatic(?:ally generated)? (?:reply|message|response)\b.*|out of office\b.{0,200}",
    r"(?:this|the) (?:message|account|comment) (?:was|has been) (?:deleted|removed|suspended)\.?|\[(?:deleted|removed)\]",
    r"(?:此|该)(?:用户|买家|顾客)(?:没有|未|没)(?:及时)?(?:填写|作出|做出)?评[价论](?:内容)?[，,]?(?:系统)?(?:默认)?(?:好评)?[。！!.]?",
    r"(?:系统)?默认好评[。！!.]?|用户未及时评价.{0,20}|(?:自动回复|系统消息|系统提示)[：:].*",
    r"(?:该|此)条?(?:内容|评论|消息)已被?(?:删除|屏蔽)[。！!.]?|转发微博[。.]?|分享(?:图片|视频)[。.]?",
    flags=re.IGNORECASE | re.DOTALL,
)

# Three kinds of signs of advertising; one kind alone is ordinary speech ("add me on WeChat").
CONTACT = _any_of(
    r"https?://|www\.|\[phone_|\[email_|whats\s?app|telegram|t(?<!\wt)\.me/|d(?<!\wd)m me\b",
    r"加\s?我?(?:微信|v信|vx|wx|qq)|\+\s?我?(?:微信|v信|vx|wx|qq)|微信号|薇信|威信[:：]|扣扣|企鹅号",
)
OFFER = _any_of(
    r"free (?:followers|iphone|gift cards?|money|trial|sample)|100% (?:free|guaranteed)|bitcoin (?:doubler|giveaway)",
    r"make \$?\d[\d,]* (?:a|per) (?:day|week|hour)|earn (?:money|cash|\$\d+)|work from home|payday loans?|online casino",
    r"cheap (?:viagra|followers|essays?|replica)|buy (?:viagra|followers|essays?|replica)|weight loss pills?",
    r"刷单|兼职日结|日赚|月入过万|返利|代开发票|办证|无抵押贷款|低息贷款|高仿|彩票计划|棋牌|赌场|代写论文",
    r"免费领取|免费送|优惠券领取|内部渠道",
)
URGENCY = _any_of(
    r"click (?:here|the link|now)|act now|limited time|order now|sign up now|don't miss|hurry|while supplies last|!!!|\$\$+",
    r"点击(?:链接|领取|进入)|赶快|速来|限时|名额有限|手慢无|马上联系|长按(?:识别|复制)|复制(?:这条|此)|戳链接|！！！",
)
