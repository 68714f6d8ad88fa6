"""Which addresses count as public, in every form that carries another address within it."""

import pytest

from resources.web.addresses import is_public, parse_address

PRIVATE = """
0.0.0.0 10.0.0.1 127.0.0.1 127.8.9.10 169.254.169.254 172.16.0.1 192.168.1.1 100.64.0.1 100.100.100.200 168.63.129.16 192.0.0.192 192.0.2.1
192.88.99.1 198.18.0.1 203.0.113.5 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::8.8.8.8 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:100.64.0.1 64:ff9b::127.0.0.1 64:ff9b::a9fe:a9fe 64:ff9b:1::8.8.8.8
2002:7f00:1:: 2002:a00:1::1 2001:0:4136:e378:8000:63bf:f5ff:fffe 2001:0:7f00:1::1 2001:db8::1 3fff::1 5f00::1 fe80::1 fe80::1%eth0 fec0::1
fc00::1 fd00:ec2::254 ff02::1 2606:4700::5efe:10.0.0.1 2606:4700::200:5efe:192.168.0.1 100::1
""".split()
PUBLIC = """
1.1.1.1 8.8.8.8 114.114.114.114 2606:4700:4700::1111 2400:3200::1 ::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1
2001:0:4136:e378:8000:63bf:f7f7:f7f7
""".split()


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses_are_known_in_every_form(text):
    assert not is_public(parse_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_public(text):
    assert is_public(parse_address(text))


def test_a_name_is_no_address():
    assert parse_address("例子.example") is None
    assert str(parse_address("[::1]")) == "::1"
